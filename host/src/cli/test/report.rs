//! What a test prints: a line for each case with what it used, what was expected where it failed, and the sums.

use serde::Serialize;

use super::ask::{Seen, Used};
use crate::cli::terminal::view::{bytes, count};
use crate::cli::terminal::{Failure, Output, plain};

/// One case, done.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    name: String,
    result: Mark,
    /// What is not as expected, or why it was passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    run: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_reason: String,
    #[serde(flatten)]
    used: Option<Sums>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mark {
    Passed,
    Failed,
    Skipped,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Sums {
    fuel: i64,
    memory_peak_bytes: i64,
    input_tokens: i64,
    output_tokens: i64,
    wall_ms: i64,
}

/// Everything a test came to.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) agent: String,
    /// The native tests; absent where they were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) native_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_ms: Option<u64>,
    /// From the built component to a host that answers, its upload included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready_ms: Option<u64>,
    pub(super) cases: Vec<Done>,
}

impl Done {
    pub(super) fn of(name: &str, seen: Seen, missed: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            result: match missed.is_empty() {
                true => Mark::Passed,
                false => Mark::Failed,
            },
            why: missed,
            run: seen.run,
            stop_reason: seen.stop_reason,
            used: seen.used.map(Sums::from),
        }
    }

    pub(super) fn skipped(name: &str, why: &str) -> Self {
        Self {
            name: name.to_owned(),
            result: Mark::Skipped,
            why: vec![why.to_owned()],
            run: String::new(),
            stop_reason: String::new(),
            used: None,
        }
    }

    /// The case as people read it, as soon as it is done.
    pub(super) fn tell(&self, out: Output) {
        if out.is_json() {
            return;
        }
        let word = match self.result {
            Mark::Passed => "ok     ",
            Mark::Failed => "FAILED ",
            Mark::Skipped => "skipped",
        };
        let used = self.used.map(|sums| {
            format!(
                " · {} fuel · {} · {}+{} tokens · {} ms",
                count(sums.fuel),
                bytes(sums.memory_peak_bytes),
                sums.input_tokens,
                sums.output_tokens,
                sums.wall_ms
            )
        });
        out.line(format!(
            "{word}  {}{}",
            plain::line(&self.name),
            used.unwrap_or_default()
        ));
        for why in &self.why {
            for line in why.trim_end().lines() {
                out.line(format!("         {line}"));
            }
        }
    }
}

impl Report {
    fn count(&self, result: Mark) -> usize {
        self.cases
            .iter()
            .filter(|done| done.result == result)
            .count()
    }

    /// The last words; a failure where anything failed.
    pub(super) fn end(&self, out: Output) -> Result<(), Failure> {
        let (passed, failed) = (self.count(Mark::Passed), self.count(Mark::Failed));
        let skipped = self.count(Mark::Skipped);
        if out.is_json() {
            let mut document = serde_json::to_value(self)?;
            document["passed"] = passed.into();
            document["failed"] = failed.into();
            document["skipped"] = skipped.into();
            out.json(&document)?;
        } else {
            let times = [
                ("native tests", self.native_ms),
                ("build", self.build_ms),
                ("host ready", self.ready_ms),
            ];
            let times = times.iter();
            let times: Vec<String> = times
                .filter_map(|(what, ms)| ms.map(|ms| format!("{what} {ms} ms")))
                .collect();
            if !times.is_empty() {
                out.note(times.join(" · "));
            }
            let skipped = match skipped {
                0 => String::new(),
                skipped => format!(", {skipped} skipped"),
            };
            out.line(format!(
                "{}: {passed} passed, {failed} failed{skipped}",
                self.agent
            ));
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::told()),
        }
    }
}

impl From<Used> for Sums {
    fn from(used: Used) -> Self {
        Self {
            fuel: used.fuel,
            memory_peak_bytes: used.memory_bytes,
            input_tokens: used.input_tokens,
            output_tokens: used.output_tokens,
            wall_ms: used.wall_ms,
        }
    }
}
