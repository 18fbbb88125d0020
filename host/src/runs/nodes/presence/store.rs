//! The statements of presence: the heartbeat, the list of nodes, and forgetting those that are long gone.

use sqlx::PgPool;
use time::OffsetDateTime;

use crate::kit::Result;
use crate::runs::NodeId;

/// What a node says of itself with each heartbeat.
pub(super) struct Beat {
    pub(super) name: String,
    pub(super) version: &'static str,
    pub(super) contract: &'static str,
    pub(super) address: Option<String>,
    pub(super) places: i32,
    pub(super) free: i32,
    pub(super) dead_after_ms: i64,
    pub(super) draining: bool,
}

/// The node lives, by the database's clock.
pub(super) async fn beat(db: &PgPool, node: NodeId, beat: &Beat) -> Result<()> {
    sqlx::query!(
        "insert into nodes (id, name, started_at, heartbeat_at, version, contract, address, places, free,
           dead_after_ms, draining_at)
         values ($1, $2, clock_timestamp(), clock_timestamp(), $3, $4, $5, $6, $7, $8,
           case when $9 then clock_timestamp() end)
         on conflict on constraint nodes_pkey do update set heartbeat_at = clock_timestamp(), free = excluded.free,
           draining_at = coalesce(nodes.draining_at, excluded.draining_at)",
        node.0,
        beat.name,
        beat.version,
        beat.contract,
        beat.address,
        beat.places,
        beat.free,
        beat.dead_after_ms,
        beat.draining,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A node as the table has it.
pub(super) struct Row {
    pub(super) id: NodeId,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) contract: Option<String>,
    pub(super) address: Option<String>,
    pub(super) state: String,
    pub(super) started_at: OffsetDateTime,
    pub(super) heartbeat_age_ms: i64,
    pub(super) places: Option<i32>,
    pub(super) free: Option<i32>,
    pub(super) runs: Option<String>,
}

/// Every node, the newest last, with the runs it owns. Ages are by the database's clock.
pub(super) async fn all(db: &PgPool) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select n.id as "id: NodeId", n.name, n.version, n.contract, n.address,
             case when n.stopped_at is not null then 'stopped'
               when n.heartbeat_at < clock_timestamp() - make_interval(secs => coalesce(n.dead_after_ms, 15000) / 1000.0)
                 then 'dead'
               when n.draining_at is not null then 'draining'
               else 'ready' end as "state!",
             n.started_at,
             (extract(epoch from clock_timestamp() - n.heartbeat_at) * 1000)::bigint as "heartbeat_age_ms!",
             n.places, n.free,
             (select json_object_agg(s.state, s.runs)::text
              from (select r.state, count(*) as runs from runs r where r.node_id = n.id and r.ended_at is null
                    group by r.state) s) as runs
           from nodes n order by n.started_at, n.id"#,
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// Nodes that were gone for a day and own nothing. One that was only silent makes itself known again.
pub(super) async fn forget(db: &PgPool) -> Result<()> {
    sqlx::query!(
        "delete from nodes n where coalesce(n.stopped_at, n.heartbeat_at) < clock_timestamp() - interval '24 hours'
           and not exists (select 1 from runs r where r.node_id = n.id and r.ended_at is null)",
    )
    .execute(db)
    .await?;
    Ok(())
}
