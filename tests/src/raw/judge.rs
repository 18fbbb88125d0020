//! Guardrail components in text form: a core module's `check` inside a component of the world `guardrail`. For what no
//! compiler would produce, and for verdicts that need nothing but a constant.

use super::{Import, assemble};

/// It lets everything pass.
pub const ALLOW: &str = "(i32.const 16)";
/// It makes everything `rewritten`.
pub const REWRITE: &str = "(call $says (i32.const 1) (i32.const 64) (i32.const 9))";
/// It lets nothing pass, because of `rewritten`.
pub const BLOCK: &str = "(call $says (i32.const 2) (i32.const 64) (i32.const 9))";
/// It never comes to an end.
pub const HANG: &str = "(loop $ever (br $ever)) unreachable";

/// A guardrail around one body. Memory: 16 is an `allow`, 64 holds `rewritten`, 80 holds `{}`; what the host writes is
/// put from 4096 on.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    pub imports: &'a [Import],
    /// Fields of the component, behind its types.
    pub component: &'a str,
    /// Pages at the start, and the most.
    pub memory: &'a str,
    /// Fields of the core module.
    pub fields: &'a str,
    /// What `realloc` does before it gives an address.
    pub realloc: &'a str,
    /// Leaves the address of the verdict. Its parameters are `$place`, five more, `$text` and `$len`, its locals `$i`
    /// and `$n`; `$says` makes a verdict of its number, an address and a length.
    pub check: &'a str,
}

impl Default for Judge<'_> {
    fn default() -> Self {
        Self {
            imports: &[],
            component: "",
            memory: "1",
            fields: "",
            realloc: "",
            check: ALLOW,
        }
    }
}

impl Judge<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        assemble(&self.text())
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
        let Self {
            component,
            memory,
            fields,
            realloc,
            check,
            ..
        } = self;
        format!(
            r#"(component
  {TYPES}
  {component}
  (core module $m
    (memory (export "memory") {memory})
    (data (i32.const 64) "rewritten")
    (data (i32.const 80) "{{}}")
    (global $heap (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      {realloc}
      (global.get $heap)
      (global.set $heap (i32.add (global.get $heap) (i32.and (i32.add (local.get $size) (i32.const 7)) (i32.const -8))))))
  (core instance $libc (instantiate $m))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  {imports}
  (core module $main
    (import "libc" "memory" (memory 0))
    {taken}(func $says (param $what i32) (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 16) (local.get $what))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))
    {fields}
    (func (export "check") (param $place i32) (param i32 i32 i32 i32 i32) (param $text i32) (param $len i32) (result i32)
      (local $i i32) (local $n i32)
      {check}))
  (core instance $host {given})
  (core instance $i (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
  (func $check (param "subject" $subject) (result $verdict)
    (canon lift (core func $i "check") (memory $memory) (realloc $realloc)))
  (export "check" (func $check)))"#
        )
    }
}

/// A guardrail that does this and needs one page.
pub fn judging(check: &str) -> Vec<u8> {
    let judge = Judge {
        check,
        ..Judge::default()
    };
    judge.bytes()
}

/// The types of the question and the verdict.
const TYPES: &str = r#"(import "bulkhead:agent/checks@0.1.0" (instance $checks
    (type $place' (enum "input" "output" "tool"))
    (export "place" (type $place (eq $place')))
    (type $subject' (record (field "place" $place) (field "agent" string) (field "tool" (option string)) (field "text" string)))
    (export "subject" (type $subject (eq $subject')))
    (type $verdict' (variant (case "allow") (case "rewrite" string) (case "block" string)))
    (export "verdict" (type $verdict (eq $verdict')))))
  (alias export $checks "subject" (type $subject))
  (alias export $checks "verdict" (type $verdict))"#;
