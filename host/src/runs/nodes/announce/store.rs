//! The statements of announcing: the messages themselves, and what the polls behind them ask.

use sqlx::PgPool;
use time::OffsetDateTime;

use crate::kit::{OrgId, Result};
use crate::runs::{NodeId, RunId};

/// Sends each message on a channel. Nothing durable is said, so the commit waits for no disk: other messages queue
/// behind it while it does.
pub(super) async fn tell(db: &PgPool, channel: &str, messages: &[String]) -> Result<()> {
    sqlx::query!(
        r#"select set_config('synchronous_commit', 'off', true) as "config!",
             (select count(pg_notify($1, message)) from unnest($2::text[]) as message) as "told!""#,
        channel,
        messages,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Which of these runs this node is to stop, and since when.
pub(super) async fn cancels_among(
    db: &PgPool,
    node: NodeId,
    runs: &[(OrgId, RunId)],
) -> Result<Vec<(RunId, OffsetDateTime)>> {
    let (orgs, runs) = columns(runs);
    let rows = sqlx::query!(
        r#"select r.id as "id: RunId", r.cancel_requested_at as "at!"
           from unnest($2::uuid[], $3::uuid[]) as k (org, run)
           join runs r on r.org_id = k.org and r.id = k.run
           where r.node_id = $1 and r.ended_at is null and r.cancel_requested_at is not null"#,
        node.0,
        &orgs,
        &runs,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
}

/// The last event of each of these runs.
pub(super) async fn last_events(db: &PgPool, runs: &[(OrgId, RunId)]) -> Result<Vec<(RunId, i32)>> {
    let (orgs, runs) = columns(runs);
    let rows = sqlx::query!(
        r#"select k.run as "run!: RunId",
             coalesce((select max(e.seq) from run_events e where e.org_id = k.org and e.run_id = k.run), 0) as "seq!"
           from unnest($1::uuid[], $2::uuid[]) as k (org, run)"#,
        &orgs,
        &runs,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.run, row.seq)).collect())
}

fn columns(runs: &[(OrgId, RunId)]) -> (Vec<uuid::Uuid>, Vec<uuid::Uuid>) {
    runs.iter().map(|(org, run)| (org.0, run.0)).unzip()
}
