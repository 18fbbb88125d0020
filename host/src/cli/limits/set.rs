//! `bulkhead limits set`: what is set already and is not named is sent again, since a set replaces the one before.

use serde_json::{Map, Value};

use super::of::{Of, get, path};
use super::show;
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Limits and their values: a number, a size such as 64MiB, or `none` for what the next one up gives.
    #[arg(required = true, value_name = "LIMIT=VALUE", value_parser = change)]
    changes: Vec<(String, Option<u64>)>,
    /// The agent whose version it is; the organization's limits where absent.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    if args.agent.is_none() && args.of.version.is_some() {
        return Err(Failure::usage("--version needs --agent"));
    }
    let client = args.of.target.client()?;
    let path = path(&client, args.agent, args.of.version).await?;
    let before = get(&client, &path).await?;
    let before = before.as_object().into_iter().flatten();
    let mut set: Map<String, Value> = before
        .filter_map(|(name, limit)| Some((name.clone(), limit.get("set")?.clone())))
        .collect();
    for (name, value) in args.changes {
        set.insert(name, value.into());
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    show::tell(&client.put(&path, &Value::Object(set)).await?, out)
}

fn change(text: &str) -> Result<(String, Option<u64>), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as LIMIT=VALUE, such as fuel=1000000")?;
    if value == "none" {
        return Ok((name.to_owned(), None));
    }
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let unit = units.iter().find(|(unit, _)| value.ends_with(unit));
    let (digits, bits) = match unit {
        Some((unit, bits)) => (value.trim_end_matches(unit).trim_end(), *bits),
        None => (value, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{value}` is no number, no size such as 64MiB, and not `none`"))?;
    let size = number.checked_mul(1 << bits);
    size.map(|size| (name.to_owned(), Some(size)))
        .ok_or_else(|| format!("`{value}` is too large"))
}
