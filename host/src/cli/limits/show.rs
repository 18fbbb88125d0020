//! `bulkhead limits show`.

use serde_json::Value;

use super::of::{Of, get, path};
use crate::cli::terminal::view::{at, bytes, number};
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The agent's name; the organization's limits where absent.
    agent: Option<String>,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    if args.agent.is_none() && args.of.version.is_some() {
        return Err(Failure::usage("--version needs the agent's name"));
    }
    let client = args.of.target.client()?;
    let path = path(&client, args.agent, args.of.version).await?;
    tell(&get(&client, &path).await?, out)
}

pub(super) fn tell(limits: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(limits);
    }
    let rows = limits.as_object().into_iter().flatten();
    let rows = rows.map(|(name, limit)| {
        let size = |pointer| match name.contains("bytes") {
            true => bytes(number(limit, pointer)),
            false => at(limit, pointer),
        };
        [
            name.clone(),
            size("/value"),
            at(limit, "/source"),
            size("/maximum"),
        ]
    });
    out.table(["limit", "value", "from", "at most"], rows.collect());
    Ok(())
}
