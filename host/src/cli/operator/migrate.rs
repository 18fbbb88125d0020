//! `bulkhead migrate`: brings a database to this version's schema, before the hosts of this version start.

use serde_json::json;

use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;
use crate::kit::db;

/// Bring the database to this version's schema
///
/// Safe to repeat and to run from several places at once. Migrations only add, so hosts of the version before go on.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  DATABASE_URL=postgres://bulkhead@localhost/bulkhead bulkhead migrate

Environment:
  DATABASE_URL   required: postgres://user:password@host/database"
)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(_args: Args, out: Output) -> Result<(), Failure> {
    let url = Surroundings::read().database_url.ok_or_else(|| {
        Failure::usage("DATABASE_URL is not set: set it to postgres://user:password@host/database")
    })?;
    let db = db::connect(url.expose(), 1).await?;
    db::migrate(&db).await?;
    let version = db::MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max();
    if out.is_json() {
        return out.json(&json!({ "migration": version }));
    }
    out.line(format!(
        "the database is at migration {}",
        version.unwrap_or(0)
    ));
    Ok(())
}
