//! A line for every turn: which agent and version answered, how it ended, and what it took. Read from the rows, as
//! everybody else reads them, so a turn is told once it has ended, wherever it was asked from.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::cli::terminal::view::{bytes, count};
use crate::cli::terminal::{Failure, Output, plain};
use crate::identity::Caller;
use crate::runs::{RunId, Runs, Turn};

/// One statement each time.
const PAUSE: Duration = Duration::from_millis(250);

/// What was told, or ended before: that is for `bulkhead runs ls` to tell.
pub(super) struct Turns {
    told: HashSet<RunId>,
}

impl Turns {
    pub(super) async fn begin(runs: &Runs, caller: &Caller) -> Result<Self, Failure> {
        let ended = runs.turns(caller).await?;
        Ok(Self {
            told: ended.into_iter().map(|turn| turn.run).collect(),
        })
    }

    /// Tells turns until it is dropped; programs are promised one line and read the rows themselves.
    pub(super) async fn tell(&mut self, runs: &Runs, caller: &Caller, out: Output) {
        if out.is_json() {
            return std::future::pending().await;
        }
        loop {
            self.look(runs, caller, out).await;
            sleep(PAUSE).await;
        }
    }

    /// Tells those that ended since, as at the end of all.
    pub(super) async fn look(&mut self, runs: &Runs, caller: &Caller, out: Output) {
        // A database that does not answer is the host's to complain about.
        if let Ok(turns) = runs.turns(caller).await {
            let new = turns.iter().rev();
            let new = new.filter(|turn| !out.is_json() && !self.told.contains(&turn.run));
            new.for_each(|turn| out.line(plain::line(&line(turn))));
            self.told = turns.into_iter().map(|turn| turn.run).collect();
        }
    }
}

fn line(turn: &Turn) -> String {
    let ended = match turn.state.as_str() {
        "completed" => turn.stop_reason.clone(),
        state if state == turn.stop_reason => state.to_owned(),
        state => format!("{state}, {}", turn.stop_reason),
    };
    let mut line = format!("{} v{} · {ended}", turn.agent, turn.version);
    if let Some(usage) = &turn.usage {
        let mark = if usage.estimated { "~" } else { "" };
        line.push_str(&format!(
            " · {} fuel · {} · {mark}{}+{} tokens · {} ms",
            count(usage.fuel),
            bytes(usage.memory_peak_bytes),
            usage.input_tokens,
            usage.output_tokens,
            usage.wall_ms
        ));
    }
    line
}
