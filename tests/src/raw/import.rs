//! Interfaces of the host as raw guests import them: the component's text, and the names and types of the core
//! module's imports. `raw` puts them together.

/// Interfaces of the host as raw guests import them: the component's text, and the core module's imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Import {
    /// `$now`, `$sleep`: the contract's clock.
    Clock,
    /// `$text`, `$status`, `$cite`.
    Output,
    /// `$started`, `$finished`.
    Tools,
    /// `$line`.
    Log,
    /// `$search`.
    Knowledge,
    /// `$recall`, `$remember`, `$forget`, `$keys`.
    Memory,
    /// `$setting`.
    Settings,
    /// `$wasi_now`, `$in` (a pollable after nanoseconds), `$at`, `$block`, `$ready`, `$poll` (a list of them), `$drop`.
    WasiClock,
    /// `$random`, `$random_u64`.
    Random,
    /// `$stdout`, `$write`, `$zeroes`, `$drop_stream`. Not beside `Stdin`.
    Stdout,
    /// `$stdin`, `$read`.
    Stdin,
    /// `$exit`.
    Exit,
}

/// The text of one interface.
pub(super) struct Text {
    pub(super) component: &'static str,
    /// Names and types of the core functions.
    pub(super) functions: &'static [(&'static str, &'static str)],
}

impl Import {
    pub(super) fn text(self) -> &'static Text {
        match self {
            Self::Clock => &CLOCK,
            Self::Output => &OUTPUT,
            Self::Tools => &TOOLS,
            Self::Log => &LOG,
            Self::Knowledge => &KNOWLEDGE,
            Self::Memory => &MEMORY,
            Self::Settings => &SETTINGS,
            Self::WasiClock => &WASI_CLOCK,
            Self::Random => &RANDOM,
            Self::Stdout => &STDOUT,
            Self::Stdin => &STDIN,
            Self::Exit => &EXIT,
        }
    }
}

const CLOCK: Text = Text {
    component: r#"(import "bulkhead:agent/clock@0.1.0" (instance $clock
    (export "now" (func (result u64)))
    (export "sleep" (func (param "milliseconds" u64) (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core func $sleep (canon lower (func $clock "sleep")))"#,
    functions: &[
        ("now", "(result i64)"),
        ("sleep", "(param i64) (result i64)"),
    ],
};

const OUTPUT: Text = Text {
    component: r#"(import "bulkhead:agent/output@0.1.0" (instance $output
    (type $citation' (record (field "handle" string) (field "number" u32) (field "quote" (option string))))
    (export "citation" (type $citation (eq $citation')))
    (type $error' (variant (case "unknown-handle") (case "not-in-passage")))
    (export "error" (type $error (eq $error')))
    (export "text" (func (param "delta" string)))
    (export "status" (func (param "text" string)))
    (export "cite" (func (param "citation" $citation) (result (result (error $error)))))))
  (core func $text (canon lower (func $output "text") (memory $memory)))
  (core func $status (canon lower (func $output "status") (memory $memory)))
  (core func $cite (canon lower (func $output "cite") (memory $memory)))"#,
    functions: &[
        ("text", "(param i32 i32)"),
        ("status", "(param i32 i32)"),
        ("cite", "(param i32 i32 i32 i32 i32 i32 i32)"),
    ],
};

const TOOLS: Text = Text {
    component: r#"(import "bulkhead:agent/tools@0.1.0" (instance $tools
    (export "started" (func (param "name" string) (param "arguments" string) (result u32)))
    (export "finished" (func (param "call" u32) (param "answer" (result string (error string)))))))
  (core func $started (canon lower (func $tools "started") (memory $memory)))
  (core func $finished (canon lower (func $tools "finished") (memory $memory)))"#,
    functions: &[
        ("started", "(param i32 i32 i32 i32) (result i32)"),
        ("finished", "(param i32 i32 i32 i32)"),
    ],
};

const LOG: Text = Text {
    component: r#"(import "bulkhead:agent/log@0.1.0" (instance $log
    (type $level' (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level')))
    (export "line" (func (param "level" $level) (param "text" string)))))
  (core func $line (canon lower (func $log "line") (memory $memory)))"#,
    functions: &[("line", "(param i32 i32 i32)")],
};

const KNOWLEDGE: Text = Text {
    component: r#"(import "bulkhead:agent/knowledge@0.1.0" (instance $knowledge
    (type $query' (record (field "text" string) (field "limit" u32) (field "tags" (list string))))
    (export "query" (type $query (eq $query')))
    (type $hit' (record (field "handle" string) (field "title" string) (field "heading" string)
      (field "text" string) (field "score" f64)))
    (export "hit" (type $hit (eq $hit')))
    (type $error' (variant (case "invalid" string) (case "unavailable" string)))
    (export "error" (type $error (eq $error')))
    (export "search" (func (param "query" $query) (result (result (list $hit) (error $error)))))))
  (core func $search (canon lower (func $knowledge "search") (memory $memory) (realloc $realloc)))"#,
    functions: &[("search", "(param i32 i32 i32 i32 i32 i32)")],
};

const MEMORY: Text = Text {
    component: r#"(import "bulkhead:agent/memory@0.1.1" (instance $kept
    (type $error' (variant (case "invalid" string) (case "full" string) (case "unavailable" string)))
    (export "error" (type $error (eq $error')))
    (export "get" (func (param "key" string) (result (result (option string) (error $error)))))
    (export "set" (func (param "key" string) (param "value" string) (result (result (error $error)))))
    (export "delete" (func (param "key" string) (result (result bool (error $error)))))
    (export "keys" (func (param "prefix" string) (param "after" (option string)) (param "limit" u32)
      (result (result (list string) (error $error)))))))
  (core func $recall (canon lower (func $kept "get") (memory $memory) (realloc $realloc)))
  (core func $remember (canon lower (func $kept "set") (memory $memory) (realloc $realloc)))
  (core func $forget (canon lower (func $kept "delete") (memory $memory) (realloc $realloc)))
  (core func $keys (canon lower (func $kept "keys") (memory $memory) (realloc $realloc)))"#,
    functions: &[
        ("recall", "(param i32 i32 i32)"),
        ("remember", "(param i32 i32 i32 i32 i32)"),
        ("forget", "(param i32 i32 i32)"),
        ("keys", "(param i32 i32 i32 i32 i32 i32 i32)"),
    ],
};

const SETTINGS: Text = Text {
    component: r#"(import "bulkhead:agent/settings@0.1.1" (instance $settings
    (export "get" (func (param "name" string) (result (option string))))))
  (core func $setting (canon lower (func $settings "get") (memory $memory) (realloc $realloc)))"#,
    functions: &[("setting", "(param i32 i32 i32)")],
};

const WASI_CLOCK: Text = Text {
    component: r#"(import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $monotonic
    (alias outer 1 $pollable (type $outside))
    (export "pollable" (type $inside (eq $outside)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $inside))))
    (export "subscribe-instant" (func (param "when" u64) (result (own $inside))))))
  (core func $wasi_now (canon lower (func $monotonic "now")))
  (core func $in (canon lower (func $monotonic "subscribe-duration")))
  (core func $at (canon lower (func $monotonic "subscribe-instant")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $ready (canon lower (func $poll "[method]pollable.ready")))
  (core func $poll (canon lower (func $poll "poll") (memory $memory) (realloc $realloc)))
  (core func $drop (canon resource.drop $pollable))"#,
    functions: &[
        ("wasi_now", "(result i64)"),
        ("in", "(param i64) (result i32)"),
        ("at", "(param i64) (result i32)"),
        ("block", "(param i32)"),
        ("ready", "(param i32) (result i32)"),
        ("poll", "(param i32 i32 i32)"),
        ("drop", "(param i32)"),
    ],
};

const RANDOM: Text = Text {
    component: r#"(import "wasi:random/random@0.2.6" (instance $randomness
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-random-u64" (func (result u64)))))
  (core func $random_u64 (canon lower (func $randomness "get-random-u64")))
  (core func $random (canon lower (func $randomness "get-random-bytes") (memory $memory) (realloc $realloc)))"#,
    functions: &[
        ("random", "(param i64 i32)"),
        ("random_u64", "(result i64)"),
    ],
};

const STDOUT: Text = Text {
    component: r#"(import "wasi:io/error@0.2.6" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (alias outer 1 $error (type $outside))
    (export "error" (type $inside (eq $outside)))
    (export "output-stream" (type $stream (sub resource)))
    (type $failed' (variant (case "last-operation-failed" (own $inside)) (case "closed")))
    (export "stream-error" (type $failed (eq $failed')))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $failed)))))
    (export "[method]output-stream.write-zeroes" (func
      (param "self" (borrow $stream)) (param "len" u64) (result (result (error $failed)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.6" (instance $out
    (alias outer 1 $stream (type $outside))
    (export "output-stream" (type $inside (eq $outside)))
    (export "get-stdout" (func (result (own $inside))))))
  (core func $stdout (canon lower (func $out "get-stdout")))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
  (core func $zeroes (canon lower (func $streams "[method]output-stream.write-zeroes") (memory $memory)))
  (core func $drop_stream (canon resource.drop $stream))"#,
    functions: &[
        ("stdout", "(result i32)"),
        ("write", "(param i32 i32 i32 i32)"),
        ("zeroes", "(param i32 i64 i32)"),
        ("drop_stream", "(param i32)"),
    ],
};

const STDIN: Text = Text {
    component: r#"(import "wasi:io/error@0.2.6" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (alias outer 1 $error (type $outside))
    (export "error" (type $inside (eq $outside)))
    (export "input-stream" (type $stream (sub resource)))
    (type $failed' (variant (case "last-operation-failed" (own $inside)) (case "closed")))
    (export "stream-error" (type $failed (eq $failed')))
    (export "[method]input-stream.blocking-read" (func
      (param "self" (borrow $stream)) (param "len" u64) (result (result (list u8) (error $failed)))))))
  (alias export $streams "input-stream" (type $stream))
  (import "wasi:cli/stdin@0.2.6" (instance $in
    (alias outer 1 $stream (type $outside))
    (export "input-stream" (type $inside (eq $outside)))
    (export "get-stdin" (func (result (own $inside))))))
  (core func $stdin (canon lower (func $in "get-stdin")))
  (core func $read (canon lower
    (func $streams "[method]input-stream.blocking-read") (memory $memory) (realloc $realloc)))"#,
    functions: &[("stdin", "(result i32)"), ("read", "(param i32 i64 i32)")],
};

const EXIT: Text = Text {
    component: r#"(import "wasi:cli/exit@0.2.6" (instance $leave (export "exit" (func (param "status" (result))))))
  (core func $exit (canon lower (func $leave "exit")))"#,
    functions: &[("exit", "(param i32)")],
};
