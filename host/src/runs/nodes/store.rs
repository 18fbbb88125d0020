//! The statements of nodes: heartbeats, cancels told to the database only, and the runs of the dead.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use crate::agents::AgentId;
use crate::identity::KeyId;
use crate::kit::{OrgId, Result};
use crate::runs::store::NewRow;
use crate::runs::{NodeId, RunId};

/// Runs of this node somebody wants stopped.
pub(super) async fn cancels_of(db: &PgPool, node: NodeId) -> Result<Vec<(RunId, OffsetDateTime)>> {
    let rows = sqlx::query!(
        r#"select id as "id: RunId", cancel_requested_at as "at!" from runs
           where node_id = $1 and ended_at is null and cancel_requested_at is not null"#,
        node.0,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
}

pub(super) async fn leave(db: &PgPool, node: NodeId) -> Result<()> {
    sqlx::query!(
        "update nodes set stopped_at = clock_timestamp() where id = $1",
        node.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Runs this node owns that have not ended.
pub(super) async fn open_of(db: &PgPool, node: NodeId) -> Result<Vec<RunId>> {
    let runs = sqlx::query_scalar!(
        r#"select id as "id: RunId" from runs where node_id = $1 and ended_at is null"#,
        node.0,
    )
    .fetch_all(db)
    .await?;
    Ok(runs)
}

/// A run whose host is gone.
pub(super) struct Orphan {
    pub(super) row: NewRow,
    pub(super) term: i32,
    pub(super) cancel_requested_at: Option<OffsetDateTime>,
}

/// Takes over runs of dead nodes: the term grows, so that a node that was only slow writes nothing more. Rows that
/// another node is taking are skipped. `lost` are runs of this node that it does not run.
pub(super) async fn claim_orphans(
    tx: &mut PgConnection,
    (node, lost): (NodeId, &[RunId]),
    dead_after_ms: i64,
    limit: i64,
) -> Result<Vec<Orphan>> {
    let lost: Vec<_> = lost.iter().map(|run| run.0).collect();
    let rows = sqlx::query!(
        r#"update runs r set node_id = $1, term = r.term + 1
           from (
             select r.org_id, r.id from runs r left join nodes n on n.id = r.node_id
             where r.ended_at is null
               and ((r.node_id = $1 and r.id = any($4))
                 or (r.node_id <> $1 and (n.id is null or n.stopped_at is not null
                   or n.heartbeat_at < clock_timestamp() - make_interval(secs => $2::bigint / 1000.0))))
             order by r.id limit $3 for no key update of r skip locked) o
           where r.org_id = o.org_id and r.id = o.id
           returning r.org_id as "org: OrgId", r.id as "run: RunId", r.agent_id as "agent: AgentId", r.version,
             r.deadline_at, r.fuel_max, r.created_by, r.created_at, r.term, r.cancel_requested_at"#,
        node.0,
        dead_after_ms,
        limit,
        &lost,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Orphan {
            row: NewRow {
                org: row.org,
                run: row.run,
                agent: row.agent,
                version: row.version,
                channel: None,
                state: "running",
                input: String::new(),
                metadata: None,
                seed: [0; 32],
                deadline_at: row.deadline_at,
                fuel_max: row.fuel_max,
                node,
                created_by: KeyId(row.created_by.unwrap_or_default()),
                created_at: row.created_at,
            },
            term: row.term,
            cancel_requested_at: row.cancel_requested_at,
        })
        .collect())
}

/// What an unfinished run is known to have used: fuel at its last step, and the tokens of its finished generations.
pub(super) async fn known_usage(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run: RunId,
) -> Result<(i64, Vec<String>)> {
    let row = sqlx::query!(
        r#"select coalesce(max(fuel_before), 0) as "fuel!",
             array_agg(response::text) filter (where kind = 'model.generate' and response is not null) as generations
           from run_steps where org_id = $1 and run_id = $2"#,
        org.0,
        run.0,
    )
    .fetch_one(db)
    .await?;
    Ok((row.fuel, row.generations.unwrap_or_default()))
}
