//! The statements of the log. Each takes a whole batch; inserts ignore rows that are there, so that a repeated commit
//! is harmless.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Stored;
use super::change::{End, Leave};
use super::record::Key;
use super::step::{Intention, Step};
use crate::kit::{OrgId, Result};
use crate::runs::RunId;
use crate::runs::store::NewRow;

/// The columns of a batch: one `Vec` for each column of one `unnest`.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// Makes the runs there; the answer names those that were refused, because their version is deleted by now. Those of
/// conversations were let in before.
pub(super) async fn insert_runs(tx: &mut PgConnection, rows: &[&NewRow]) -> Result<HashSet<Uuid>> {
    let inserted = sqlx::query!(
        "insert into runs (org_id, id, agent_id, version, channel, state, input, metadata, seed, deadline_at,
           fuel_max, node_id, term, created_by, created_at, limits_digest, conversation_id, traceparent,
           channel_named, bounds_named)
         select a, b, c, d, e, f, g::json, h::json, i, j, k, l, 1, m, n, o, p, q, r, s
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::text[],
           $8::text[], $9::bytea[], $10::timestamptz[], $11::bigint[], $12::uuid[], $13::uuid[], $14::timestamptz[],
           $15::bytea[], $16::uuid[], $17::text[], $18::boolean[], $19::boolean[])
           as t (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s)
         where p is not null or not exists (select from agent_versions v
           where v.org_id = a and v.agent_id = c and v.number = d and v.deleted_at is not null)
         on conflict on constraint runs_pkey do nothing",
        &column!(rows, row => row.org.0),
        &column!(rows, row => row.run.0),
        &column!(rows, row => row.agent.0),
        &column!(rows, row => row.version),
        &column!(rows, row => row.channel.clone()) as &[Option<String>],
        &column!(rows, row => row.state.to_owned()),
        &column!(rows, row => row.input.clone()),
        &column!(rows, row => row.metadata.clone()) as &[Option<String>],
        &column!(rows, row => row.seed.to_vec()),
        &column!(rows, row => row.deadline_at),
        &column!(rows, row => row.fuel_max),
        &column!(rows, row => row.node.0),
        &column!(rows, row => row.created_by.0),
        &column!(rows, row => row.created_at),
        &column!(rows, row => row.limits.map(|digest| digest.to_vec())) as &[Option<Vec<u8>>],
        &column!(rows, row => row.conversation.map(|id| id.0)) as &[Option<Uuid>],
        &column!(rows, row => row.traceparent.clone()) as &[Option<String>],
        &column!(rows, row => row.channel_named),
        &column!(rows, row => row.bounds_named),
    )
    .execute(&mut *tx)
    .await?;
    let mut refused = HashSet::new();
    if inserted.rows_affected() < rows.len() as u64 {
        // Or they were written before: a commit whose answer was lost is made again.
        let there = sqlx::query_scalar!(
            "select r.id from runs r join unnest($1::uuid[], $2::uuid[]) as k (org, run)
               on r.org_id = k.org and r.id = k.run",
            &column!(rows, row => row.org.0),
            &column!(rows, row => row.run.0),
        );
        let there: HashSet<Uuid> = there.fetch_all(tx).await?.into_iter().collect();
        refused.extend(
            rows.iter()
                .map(|row| row.run.0)
                .filter(|run| !there.contains(run)),
        );
    }
    Ok(refused)
}

/// Locks the runs that are still at their term; tells which of them have ended. Ordered, so that batches do not
/// deadlock.
pub(super) async fn hold(tx: &mut PgConnection, keys: &[Key]) -> Result<HashMap<Key, bool>> {
    let rows = sqlx::query!(
        r#"select r.org_id as "org: OrgId", r.id as "run: RunId", r.term, (r.ended_at is not null) as "ended!"
           from runs r join unnest($1::uuid[], $2::uuid[], $3::integer[]) as k (org, run, term)
             on r.org_id = k.org and r.id = k.run and r.term = k.term
           order by r.id for no key update of r"#,
        &column!(keys, key => key.org.0),
        &column!(keys, key => key.run.0),
        &column!(keys, key => key.term),
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                Key {
                    org: row.org,
                    run: row.run,
                    term: row.term,
                },
                row.ended,
            )
        })
        .collect())
}

pub(super) async fn mark_running(tx: &mut PgConnection, keys: &[Key]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update runs set state = 'running' from unnest($1::uuid[], $2::uuid[]) as k (org, run)
         where org_id = k.org and id = k.run and state = 'queued'",
        &column!(keys, key => key.org.0),
        &column!(keys, key => key.run.0),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_steps(tx: &mut PgConnection, steps: &[(Key, &Step)]) -> Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into run_steps (org_id, run_id, seq, kind, request_digest, request, response, started_at, ended_at,
           fuel_before, status, response_digest)
         select a, b, c, d, e, f::json, g::json, h, i, j, k, l
         from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::text[], $7::text[],
           $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::text[], $12::bytea[])
           as t (a, b, c, d, e, f, g, h, i, j, k, l)
         on conflict on constraint run_steps_pkey do nothing",
        &column!(steps, (key, _) => key.org.0),
        &column!(steps, (key, _) => key.run.0),
        &column!(steps, (_, step) => step.seq),
        &column!(steps, (_, step) => step.kind.to_owned()),
        &column!(steps, (_, step) => step.request_digest.to_vec()),
        &column!(steps, (_, step) => step.request.clone()),
        &column!(steps, (_, step) => step.response.clone()),
        &column!(steps, (_, step) => step.started_at),
        &column!(steps, (_, step) => step.ended_at),
        &column!(steps, (_, step) => step.fuel_before),
        &column!(steps, (_, step) => if step.ok { "ok" } else { "error" }.to_owned()),
        &column!(steps, (_, step) => step.response_digest.to_vec()),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_events(tx: &mut PgConnection, events: &[(Key, &Stored)]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into run_events (org_id, run_id, seq, at, kind, data)
         select a, b, c, d, e, f::json
         from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[])
           as t (a, b, c, d, e, f)
         on conflict on constraint run_events_pkey do nothing",
        &column!(events, (key, _) => key.org.0),
        &column!(events, (key, _) => key.run.0),
        &column!(events, (_, event) => event.seq),
        &column!(events, (_, event) => event.at),
        &column!(events, (_, event) => (*event.kind).to_owned()),
        &column!(events, (_, event) => (*event.data).to_owned()),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes intents. One that is made again replaces its own row; what an earlier life wrote behind it is forgotten.
pub(super) async fn insert_intents(
    tx: &mut PgConnection,
    intents: &[(Key, &Intention)],
) -> Result<()> {
    if intents.is_empty() {
        return Ok(());
    }
    let back: Vec<_> = intents.iter().filter(|(_, i)| i.rewrites).collect();
    if !back.is_empty() {
        sqlx::query!(
            "with back as (select * from unnest($1::uuid[], $2::uuid[], $3::integer[]) as b (org, run, seq)),
             steps as (
               delete from run_steps s using back b where s.org_id = b.org and s.run_id = b.run and s.seq > b.seq)
             delete from run_intents i using back b where i.org_id = b.org and i.run_id = b.run and i.seq > b.seq",
            &column!(back, (key, _) => key.org.0),
            &column!(back, (key, _) => key.run.0),
            &column!(back, (_, intent) => intent.seq),
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query!(
        "insert into run_intents (org_id, run_id, seq, kind, request_digest, request, started_at, fuel_before, repeat,
           attempt, lost_input_tokens, lost_output_tokens)
         select a, b, c, d, e, f::json, g, h, i, j, k, l
         from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::text[], $7::timestamptz[],
           $8::bigint[], $9::text[], $10::integer[], $11::bigint[], $12::bigint[])
           as t (a, b, c, d, e, f, g, h, i, j, k, l)
         on conflict on constraint run_intents_pkey do update set started_at = excluded.started_at,
           attempt = excluded.attempt, lost_input_tokens = excluded.lost_input_tokens,
           lost_output_tokens = excluded.lost_output_tokens",
        &column!(intents, (key, _) => key.org.0),
        &column!(intents, (key, _) => key.run.0),
        &column!(intents, (_, intent) => intent.seq),
        &column!(intents, (_, intent) => intent.kind.to_owned()),
        &column!(intents, (_, intent) => intent.request_digest.to_vec()),
        &column!(intents, (_, intent) => intent.request.clone()),
        &column!(intents, (_, intent) => intent.started_at),
        &column!(intents, (_, intent) => intent.fuel_before),
        &column!(intents, (_, intent) => intent.repeat.to_owned()),
        &column!(intents, (_, intent) => intent.attempt),
        &column!(intents, (_, intent) => i64::try_from(intent.lost.input).unwrap_or(i64::MAX)),
        &column!(intents, (_, intent) => i64::try_from(intent.lost.output).unwrap_or(i64::MAX)),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets go of runs that have not ended: whoever is free claims them, at once or when they wake. `wake_at` tells since
/// when a run that nobody has could go on.
pub(super) async fn leave_runs(tx: &mut PgConnection, leaves: &[(Key, &Leave)]) -> Result<()> {
    if leaves.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update runs set node_id = '00000000-0000-0000-0000-000000000000', wake_at = coalesce(t.wake_at, clock_timestamp()),
           suspended_usage = t.usage::json,
           state = case when t.wake_at is null then state else 'suspended' end
         from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[]) as t (org, run, wake_at, usage)
         where org_id = t.org and id = t.run",
        &column!(leaves, (key, _) => key.org.0),
        &column!(leaves, (key, _) => key.run.0),
        &column!(leaves, (_, leave) => leave.wake_at) as &[Option<OffsetDateTime>],
        &column!(leaves, (_, leave) => leave.usage.clone()),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends runs that are open and still at their term; tells which. Open is said in words that no partial index answers to:
/// the planner would read the whole index of open runs, dead entries included, for each batch.
pub(super) async fn end_runs(tx: &mut PgConnection, ends: &[(Key, &End)]) -> Result<Vec<Key>> {
    // In order, so that batches do not deadlock.
    let mut ends = ends.to_vec();
    ends.sort_unstable_by_key(|(key, _)| key.run);
    let rows = sqlx::query!(
        r#"update runs set state = t.state, stop_reason = t.stop_reason, output = t.output, fault = t.fault::json,
           receipt = t.receipt::json, guest_log = t.guest_log::json, ended_at = t.ended_at, blocked = t.blocked::json
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
           $9::timestamptz[], $10::integer[], $11::text[])
           as t (org, run, state, stop_reason, output, fault, receipt, guest_log, ended_at, held, blocked)
         where org_id = t.org and id = t.run and term = t.held and coalesce(runs.ended_at, 'infinity') = 'infinity'
         returning org_id as "org: OrgId", id as "run: RunId", term"#,
        &column!(ends, (key, _) => key.org.0),
        &column!(ends, (key, _) => key.run.0),
        &column!(ends, (_, end) => end.state.to_owned()),
        &column!(ends, (_, end) => end.stop_reason.clone()),
        &column!(ends, (_, end) => end.output.clone()),
        &column!(ends, (_, end) => end.fault.clone()) as &[Option<String>],
        &column!(ends, (_, end) => end.receipt.clone()),
        &column!(ends, (_, end) => end.guest_log.clone()) as &[Option<String>],
        &column!(ends, (_, end) => end.at),
        &column!(ends, (key, _) => key.term),
        &column!(ends, (_, end) => end.blocked.clone()) as &[Option<String>],
    )
    .fetch_all(tx)
    .await?;
    let keys = rows.into_iter().map(|row| Key {
        org: row.org,
        run: row.run,
        term: row.term,
    });
    Ok(keys.collect())
}

struct EventRow {
    seq: i32,
    at: OffsetDateTime,
    kind: String,
    data: String,
}

/// The events after `seq`, oldest first, at most `limit`.
pub(in crate::runs) async fn events_after(
    db: impl PgExecutor<'_>,
    (org, run): (OrgId, RunId),
    seq: i32,
    limit: i64,
) -> Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"select seq, at, kind, data::text as "data!" from run_events
           where org_id = $1 and run_id = $2 and seq > $3 order by seq limit $4"#,
        org.0,
        run.0,
        seq,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            seq: row.seq,
            at: row.at,
            kind: row.kind.into(),
            data: row.data.into(),
        })
        .collect())
}

/// Everything a run has said.
pub(in crate::runs) async fn all_events(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run: RunId,
) -> Result<Vec<Stored>> {
    events_after(db, (org, run), 0, i64::MAX).await
}

/// The highest seq that is durable; 0 where there is none.
pub(in crate::runs) async fn last_event(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run: Uuid,
) -> Result<i32> {
    let seq = sqlx::query_scalar!(
        "select max(seq) from run_events where org_id = $1 and run_id = $2",
        org.0,
        run,
    )
    .fetch_one(db)
    .await?;
    Ok(seq.unwrap_or(0))
}
