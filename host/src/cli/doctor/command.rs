//! `bulkhead doctor`: what this machine lacks to run Bulkhead, one line each with what to do; and, with
//! `--invariants`, whether a database holds what must always hold.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::cli::dev::running::Running;
use crate::cli::serve::refuse_unmigrated;
use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;
use crate::invariants;
use crate::kit::{Secret, db};

/// Check this machine, or the invariants of a database
///
/// Exits 1 where something is missing or violated.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead doctor
  bulkhead doctor --invariants                               of the running `dev`
  DATABASE_URL=postgres://… bulkhead doctor --invariants

Environment:
  DATABASE_URL   the database to check; where absent, that of the `dev` that runs on --data"
)]
pub(in crate::cli) struct Args {
    /// Check what must always hold in the database: one terminal event each, no gaps, leases, usage.
    #[arg(long)]
    invariants: bool,
    /// The data folder.
    #[arg(
        long,
        env = "BULKHEAD__DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".bulkhead"
    )]
    pub(super) data: PathBuf,
    /// The address to be free.
    #[arg(
        long,
        env = "BULKHEAD__LISTEN",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8320"
    )]
    pub(super) listen: SocketAddr,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    pub(super) ok: bool,
    /// What was found, or what to do.
    detail: String,
}

impl Check {
    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            detail: detail.into(),
        }
    }

    pub(super) fn bad(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            ok: false,
            detail: detail.into(),
        }
    }
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    if args.invariants {
        return check_invariants(&args.data, out).await;
    }
    let checks = super::machine::look(&args).await;
    let ok = checks.iter().all(|check| check.ok);
    if out.is_json() {
        out.json(&json!({ "ok": ok, "checks": checks }))?;
    } else {
        for Check { name, ok, detail } in &checks {
            let mark = if *ok { "ok     " } else { "MISSING" };
            out.line(format!("{mark}  {name}: {detail}"));
        }
    }
    if ok { Ok(()) } else { Err(Failure::told()) }
}

async fn check_invariants(data: &Path, out: Output) -> Result<(), Failure> {
    let url = database_url(data, Surroundings::read())?.ok_or_else(|| {
        Failure::usage("DATABASE_URL is not set and no `bulkhead dev` runs on the data folder: which database?")
    })?;
    let db = db::connect(url.expose(), 1).await?;
    refuse_unmigrated(&db).await?;
    let violations = invariants::check(&db).await?;
    if out.is_json() {
        out.json(&json!({ "ok": violations.is_empty(), "checked": invariants::CHECKED, "violations": violations }))?;
    } else {
        for (invariant, what) in invariants::CHECKED {
            let found: Vec<_> = violations
                .iter()
                .filter(|violation| violation.invariant == *invariant)
                .collect();
            out.line(format!(
                "{}  {invariant}: {what}",
                if found.is_empty() {
                    "ok      "
                } else {
                    "VIOLATED"
                }
            ));
            found
                .iter()
                .for_each(|violation| out.line(format!("            {}", violation.detail)));
        }
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Failure::told())
    }
}

/// The database a command works on: the one named, else that of the `dev` beside.
pub(in crate::cli) fn database_url(
    data: &Path,
    surroundings: Surroundings,
) -> Result<Option<Secret>, Failure> {
    if surroundings.database_url.is_some() {
        return Ok(surroundings.database_url);
    }
    Ok(Running::read(data)?
        .and_then(|running| running.database_url)
        .map(Secret::new))
}
