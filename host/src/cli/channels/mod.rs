//! `bulkhead promote`, `canary`, `rollback` and `channels`: which version answers, and how it came to it.

pub(super) mod canary;
mod candidate;
mod judged;
pub(super) mod promote;
pub(super) mod rollback;
pub(super) mod show;

use serde_json::Value;

use super::terminal::view::at;
use super::terminal::{Failure, Output};

/// The answer of a move: where the channels point now.
fn tell(channels: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(channels);
    }
    out.line(sentence(channels));
    if let Some(repinned) = channels["repinned"].as_i64().filter(|n| *n > 0) {
        out.line(format!(
            "{repinned} open conversations take another version now"
        ));
    }
    judged::show(channels, out);
    Ok(())
}

/// `support: v2 is stable, v3 is the canary with 0.1 of new runs; a rollback goes back to v1`
fn sentence(channels: &Value) -> String {
    let mut parts = match at(channels, "/stable/version").as_str() {
        "" => vec!["no version is stable".to_owned()],
        version => vec![format!("v{version} is stable")],
    };
    if channels["canary"].is_object() {
        let (version, weight) = (
            at(channels, "/canary/version"),
            at(channels, "/canary/weight"),
        );
        parts.push(format!(
            "v{version} is the canary with {weight} of new runs"
        ));
    }
    let back = at(channels, "/rolls_back_to");
    let back = match back.as_str() {
        "" => String::new(),
        version => format!("; a rollback goes back to v{version}"),
    };
    format!("{}: {}{back}", at(channels, "/agent"), parts.join(", "))
}
