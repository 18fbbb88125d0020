//! Tool providers in text form: what they offer lies in memory, and a call answers with nothing. For what no compiler
//! would produce.

use super::{Import, assemble};

/// A tool that is offered: name, description, schema, and the number of its effect.
pub type Offer<'a> = (&'a str, &'a str, &'a str, u8);

/// One that is as it should be.
pub const LOOKUP: Offer<'static> = ("lookup", "Looks up.", r#"{"type":"object"}"#, 0);

/// A component of the world `tool-provider`.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'a> {
    pub imports: &'a [Import],
    pub tools: &'a [Offer<'a>],
    /// Leaves the address of the list of tools, which is at 16.
    pub list: &'a str,
    /// More exports, or fewer: text that takes the place of the last one's.
    pub last: &'a str,
}

/// How `dry-run` is exported.
const DRY_RUN: &str = r#"(export "dry-run" (func $dry))"#;

impl Default for Provider<'_> {
    fn default() -> Self {
        Self {
            imports: &[],
            tools: &[LOOKUP],
            list: "(i32.const 16)",
            last: DRY_RUN,
        }
    }
}

impl Provider<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        assemble(&self.text())
    }

    /// The list: where it lies and how long it is, then its records, then their texts.
    fn offers(&self) -> String {
        let count = self.tools.len();
        let mut at = 24 + 28 * count;
        let (mut records, mut texts) = (Vec::new(), Vec::new());
        for (name, description, schema, effect) in self.tools {
            for text in [name, description, schema] {
                for word in [at, text.len()] {
                    records.extend(u32::try_from(word).unwrap_or(0).to_le_bytes());
                }
                at += text.len();
                texts.extend_from_slice(text.as_bytes());
            }
            records.extend([*effect, 0, 0, 0]);
        }
        let head = [24, count].map(|word| u32::try_from(word).unwrap_or(0).to_le_bytes());
        let all = head.into_iter().flatten().chain(records).chain(texts);
        let all: String = all.map(|byte| format!("\\{byte:02x}")).collect();
        format!("(data (i32.const 16) \"{all}\")")
    }

    pub fn text(&self) -> String {
        let texts = || self.imports.iter().map(|import| import.text());
        let functions = || texts().flat_map(|text| text.functions);
        let imports: String = texts().map(|text| text.component).collect();
        let given: String = functions()
            .map(|(name, _)| format!("(export \"{name}\" (func ${name}))"))
            .collect();
        let taken: String = functions()
            .map(|(name, kind)| format!("(import \"host\" \"{name}\" (func ${name} {kind}))\n    "))
            .collect();
        let (offers, list, last) = (self.offers(), self.list, self.last);
        format!(
            r#"(component
  {TYPES}
  (core module $m
    (memory (export "memory") 4)
    {offers}
    (global $heap (mut i32) (i32.const 131072))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (i32.and (i32.add (local.get $size) (i32.const 7)) (i32.const -8))))))
  (core instance $libc (instantiate $m))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  {imports}
  (core module $main
    (import "libc" "memory" (memory 0))
    {taken}(func (export "list-tools") (result i32) {list})
    (func (export "call") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
  (core instance $host {given})
  (core instance $i (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
  (func $list (result (list $offer)) (canon lift (core func $i "list-tools") (memory $memory)))
  (func $call (param "request" $request) (result (result string (error $error)))
    (canon lift (core func $i "call") (memory $memory) (realloc $realloc)))
  (func $dry (param "request" $request) (result (result $preview (error $error)))
    (canon lift (core func $i "call") (memory $memory) (realloc $realloc)))
  (export "list-tools" (func $list))
  (export "call" (func $call))
  {last})"#
        )
    }
}

/// The contract's types, as the world's exports use them.
const TYPES: &str = r#"(import "bulkhead:agent/provided@0.1.1" (instance $provided
    (type $effect' (enum "read" "mutate" "destructive"))
    (export "effect" (type $effect (eq $effect')))
    (type $offer' (record (field "name" string) (field "description" string) (field "input-schema" string)
      (field "effect" $effect)))
    (export "offer" (type $offer (eq $offer')))
    (type $request' (record (field "tool" string) (field "arguments" string)))
    (export "request" (type $request (eq $request')))
    (type $preview' (record (field "summary" string) (field "arguments" string)))
    (export "preview" (type $preview (eq $preview')))
    (type $error' (variant (case "invalid" string) (case "failed" string)))
    (export "error" (type $error (eq $error')))))
  (alias export $provided "offer" (type $offer))
  (alias export $provided "request" (type $request))
  (alias export $provided "preview" (type $preview))
  (alias export $provided "error" (type $error))"#;
