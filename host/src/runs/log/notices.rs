//! What subscribers are told of a run: that it was accepted, and how it ended. Written with these facts, by `begin` and
//! `finish`; without inputs and outputs, which the run itself has.

use serde_json::json;
use time::OffsetDateTime;

use crate::ledger::outbox::{EventId, Notice, Topic};
use crate::runs::Usage;
use crate::runs::store::NewRow;

/// `seq` is that of the log's event which says the same.
pub(in crate::runs) fn started(row: &NewRow, agent: &str, seq: i32) -> Notice {
    let data = json!({
        "run": row.run,
        "agent": agent,
        "version": row.version,
        "channel": row.channel,
        "state": row.state,
        "created_by": row.created_by,
    });
    of_run(row, Topic::RunStarted, (row.created_at, seq), &data)
}

/// None where the state is not one that ends a run.
pub(in crate::runs) fn ended(
    row: &NewRow,
    agent: &str,
    (state, stop_reason): (&str, &str),
    (at, seq): (OffsetDateTime, i32),
    usage: &Usage,
) -> Option<Notice> {
    let data = json!({
        "run": row.run,
        "agent": agent,
        "version": row.version,
        "channel": row.channel,
        "state": state,
        "stop_reason": stop_reason,
        "usage": usage,
    });
    Topic::of_end(state).map(|topic| of_run(row, topic, (at, seq), &data))
}

fn of_run(
    row: &NewRow,
    topic: Topic,
    (at, seq): (OffsetDateTime, i32),
    data: &serde_json::Value,
) -> Notice {
    Notice::new(EventId(row.run.0), row.org, topic, at, data).of_run(row.run.0, seq)
}
