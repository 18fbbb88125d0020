//! Many replays in one answer: how many are the same, in what the others differ, and which are the worst.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::report::cut;
use super::{Beyond, Report};
use crate::runs::{RunId, Usage};

/// How many of those that differ are listed.
const WORST_MAX: usize = 10;
/// Bytes of the text that is shown of each.
const DIFF_MAX: usize = 2 << 10;
/// What a run used: nobody who talks to it sees that.
const USED: [&str; 5] = [
    "fuel",
    "input_tokens",
    "output_tokens",
    "host_calls",
    "steps",
];

/// The last runs of the stable version, replayed on another one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Summary {
    pub agent: String,
    /// The version they were replayed on.
    pub version: i32,
    /// The stable version, whose runs they are.
    pub stable: i32,
    pub runs: i64,
    /// Runs of which nothing differs.
    pub same: i64,
    /// Runs of which only what they used differs: fuel, tokens, host calls, steps.
    pub alike: i64,
    /// Runs that asked, said or came to something else.
    pub differ: i64,
    /// In how many runs each thing differs, by its name in the report of one run.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub differs_in: BTreeMap<&'static str, i64>,
    /// What those used that came to their own end on both versions.
    pub recorded: Used,
    pub replayed: Used,
    /// The ten that differ most, the worst first.
    pub worst: Vec<Differing>,
    pub not_compared: Vec<NotCompared>,
}

/// What runs used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Used {
    pub fuel: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub host_calls: i64,
}

/// A run that differs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Differing {
    #[schema(value_type = String)]
    pub run: RunId,
    #[schema(value_type = Vec<String>)]
    pub differs_in: Vec<&'static str>,
    /// Where the replay ended because nothing is recorded of what it asked there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
    /// The beginning of the first difference that has lines: `- ` was recorded, `+ ` was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// A run that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotCompared {
    #[schema(value_type = String)]
    pub run: RunId,
    pub why: String,
}

/// What came of one replay.
pub(super) enum Came {
    Compared(Box<Report>),
    Not(String),
}

impl Summary {
    pub(super) fn new(agent: &str, version: i32, stable: i32) -> Self {
        Self {
            agent: agent.to_owned(),
            version,
            stable,
            runs: 0,
            same: 0,
            alike: 0,
            differ: 0,
            differs_in: BTreeMap::new(),
            recorded: Used::default(),
            replayed: Used::default(),
            worst: Vec::new(),
            not_compared: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, run: RunId, came: Came) {
        self.runs += 1;
        let report = match came {
            Came::Compared(report) => report,
            Came::Not(why) => return self.not_compared.push(NotCompared { run, why }),
        };
        let mut differs_in: Vec<&'static str> =
            report.differences.iter().map(|one| one.what).collect();
        differs_in.sort_unstable();
        differs_in.dedup();
        for what in &differs_in {
            *self.differs_in.entry(*what).or_default() += 1;
        }
        if report.replayed.state.is_some() {
            self.recorded.add(&report.recorded.usage);
            self.replayed.add(&report.replayed.usage);
        }
        if differs_in.is_empty() {
            self.same += 1;
        } else if differs_in.iter().all(|what| USED.contains(what)) {
            self.alike += 1;
        } else {
            self.differ += 1;
            self.list(Differing {
                run,
                differs_in,
                diff: report.differences.into_iter().find_map(|one| one.diff),
                beyond: report.beyond,
            });
        }
    }

    fn list(&mut self, mut differing: Differing) {
        differing.diff = differing.diff.map(|diff| cut(&diff, DIFF_MAX));
        self.worst.push(differing);
        self.worst.sort_by_key(|one| Reverse(one.weight()));
        self.worst.truncate(WORST_MAX);
    }
}

impl Differing {
    /// Another end is worse than other calls, and those than other words.
    fn weight(&self) -> u32 {
        let of = |what: &&str| match *what {
            "state" | "stop_reason" | "fault" | "journal" => 100,
            "tool_calls" | "request" => 10,
            what if USED.contains(&what) => 0,
            _ => 1,
        };
        self.differs_in.iter().map(of).sum()
    }
}

impl Used {
    fn add(&mut self, usage: &Usage) {
        self.fuel += usage.fuel;
        self.input_tokens += usage.input_tokens;
        self.output_tokens += usage.output_tokens;
        self.host_calls += usage.host_calls;
    }
}
