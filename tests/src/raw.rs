//! Guests in text form: a core module written against the contract inside a component of its world, assembled in the
//! test. For what no compiler would produce, and for what needs nothing but a loop.

mod import;
pub mod judge;
pub mod places;
pub mod provider;

pub use import::Import;

/// A result that says the turn ended well; the address is zero unless a guest writes there.
pub const END_TURN: &str = "(i32.const 512)";

/// A component around one body. The manifest lies at 1024, its name at 2048 (`raw`); memory is free from 4096 to
/// 65536, and from there on what the host writes is put.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub imports: &'a [Import],
    /// What it declares; the export is there only where there is something. They lie at 3072.
    pub guardrails: &'a [&'a str],
    /// Fields of the component.
    pub component: &'a str,
    /// Pages at the start, and the most.
    pub memory: &'a str,
    /// Fields of the core module.
    pub fields: &'a str,
    /// Leaves the address of the manifest.
    pub describe: &'a str,
    /// Leaves the address of the result; its parameters are `$turn` and four more, its locals `$i` and `$n`.
    pub run: &'a str,
}

impl Default for Raw<'_> {
    fn default() -> Self {
        Self {
            imports: &[],
            guardrails: &[],
            component: "",
            memory: "4",
            fields: "",
            describe: "(i32.const 1024)",
            run: END_TURN,
        }
    }
}

impl Raw<'_> {
    /// The component's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        assemble(&self.text())
    }

    /// The component's text.
    pub fn text(&self) -> String {
        let imports: Vec<&str> = self
            .imports
            .iter()
            .map(|import| import.text().component)
            .collect();
        let functions = || {
            self.imports
                .iter()
                .flat_map(|import| import.text().functions)
        };
        let exports: String = functions()
            .map(|(name, _)| format!("(export \"{name}\" (func ${name}))"))
            .collect();
        format!(
            "(component
  {TYPES}
  {component}
  {libc}
  {imports}
  {main}
  (core instance $host {exports})
  (core instance $guest (instantiate $main (with \"libc\" (instance $libc)) (with \"host\" (instance $host))))
  (func $describe (result $manifest) (canon lift (core func $guest \"describe\") (memory $memory)))
  (func $run (param \"turn\" $turn) (result (result $outcome (error $failure)))
    (canon lift (core func $guest \"run\") (memory $memory) (realloc $realloc)))
  {declares}(export \"describe\" (func $describe))
  (export \"run\" (func $run)))",
            declares = self.declares(),
            component = self.component,
            imports = imports.join("\n  "),
            libc = self.libc(),
            main = self.main(),
        )
    }

    fn declares(&self) -> &'static str {
        if self.guardrails.is_empty() {
            return "";
        }
        "(func $guardrails (result (list string)) (canon lift (core func $guest \"guardrails\") (memory $memory)))
  (export \"guardrails\" (func $guardrails))
  "
    }

    /// The list of guardrails in memory: where it lies and how long it is, then its strings, then their bytes.
    fn declared(&self) -> String {
        let count = self.guardrails.len();
        let mut at = 3072 + 8 + 8 * count;
        let mut words = vec![3080, count];
        let mut bytes = Vec::new();
        for text in self.guardrails {
            words.extend([at, text.len()]);
            at += text.len();
            bytes.extend_from_slice(text.as_bytes());
        }
        let words = words
            .iter()
            .flat_map(|word| u32::try_from(*word).unwrap_or(0).to_le_bytes());
        let all: String = words
            .chain(bytes)
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        format!("(data (i32.const 3072) \"{all}\")")
    }

    fn libc(&self) -> String {
        let (memory, declared) = (self.memory, self.declared());
        format!(
            r#"(core module $m
    (memory (export "memory") {memory})
    (data (i32.const 1024) "\00\08\00\00\03\00\00\00\00\08\00\00\03\00\00\00\10\08\00\00\07\00\00\00")
    (data (i32.const 2048) "raw")
    (data (i32.const 2064) "default")
    {declared}
    (global $heap (export "heap") (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (global.set $heap (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (local.get $size)))))
  (core instance $libc (instantiate $m))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))"#
        )
    }

    fn main(&self) -> String {
        let functions = self
            .imports
            .iter()
            .flat_map(|import| import.text().functions);
        let imports: String = functions
            .map(|(name, kind)| format!("(import \"host\" \"{name}\" (func ${name} {kind}))\n    "))
            .collect();
        let Self {
            fields,
            describe,
            run,
            ..
        } = self;
        format!(
            r#"(core module $main
    (import "libc" "memory" (memory 0))
    (import "libc" "heap" (global $heap (mut i32)))
    {imports}{fields}
    (func (export "describe") (result i32) (local $i i32) {describe})
    (func (export "guardrails") (result i32) (i32.const 3072))
    (func (export "run") (param $turn i32) (param i32 i32 i32 i64) (result i32)
      (local $i i32) (local $n i32)
      {run}))"#
        )
    }
}

/// The contract's types, as the world's exports use them.
const TYPES: &str = r#"(import "bulkhead:agent/types@0.1.0" (instance $types
    (type $speaker' (enum "user" "assistant"))
    (export "speaker" (type $speaker (eq $speaker')))
    (type $message' (record (field "speaker" $speaker) (field "text" string)))
    (export "message" (type $message (eq $message')))
    (type $turn' (record (field "run" string) (field "messages" (list $message)) (field "started-at" u64)))
    (export "turn" (type $turn (eq $turn')))
    (type $tool' (record (field "name" string) (field "description" string) (field "input-schema" string)))
    (export "tool-manifest" (type $tool (eq $tool')))
    (type $manifest' (record (field "name" string) (field "description" string) (field "model" string)
      (field "tools" (list $tool))))
    (export "manifest" (type $manifest (eq $manifest')))
    (type $outcome' (enum "end-turn" "max-tokens" "max-iterations"))
    (export "outcome" (type $outcome (eq $outcome')))
    (type $failure' (variant (case "model" string) (case "agent" string)))
    (export "failure" (type $failure (eq $failure')))))
  (alias export $types "turn" (type $turn))
  (alias export $types "manifest" (type $manifest))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "failure" (type $failure))"#;

/// The binary form of a module or component in text form.
pub fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}
