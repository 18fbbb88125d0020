//! The statements of dispatch. They work on every organization's rows, many together; each row names its own.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::outcome::{Attempt, GivenUp, tell};
use super::places::LANES;
use crate::kit::{Ids, OrgId, Result};
use crate::ledger::audit::{self, Entry};
use crate::ledger::outbox::EventId;
use crate::webhooks::EndpointId;

/// The columns of a batch: one `Vec` for each column of one `unnest`.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// An endpoint this node holds.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) org: OrgId,
    pub(super) id: EndpointId,
    pub(super) lane: i16,
    lease: Option<Uuid>,
    pub(super) url: String,
    pub(super) signature: String,
    pub(super) secret_sealed: Vec<u8>,
    pub(super) former_secret_sealed: Option<Vec<u8>>,
    pub(super) former_secret_until: Option<OffsetDateTime>,
}

impl Leased {
    pub(super) fn lane(&self) -> usize {
        usize::try_from(self.lane).unwrap_or(LANES)
    }
}

/// A delivery whose time has come, with its event.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) event: EventId,
    pub(super) topic: String,
    pub(super) at: OffsetDateTime,
    pub(super) seq: Option<i32>,
    pub(super) data: String,
    pub(super) attempts: i32,
    pub(super) step: i32,
}

type Of = (OrgId, EndpointId);

/// Makes deliveries of new events; tells how many events there were, and which endpoints have something now.
pub(super) async fn fan_out(
    db: impl PgExecutor<'_>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<(i64, Vec<Of>)> {
    let rows = sqlx::query!(
        r#"with fresh as (
             select org_id, id, topic, at from outbox where fanned_at is null
             order by at limit $2 for update skip locked),
           made as (
             insert into webhook_deliveries (org_id, endpoint_id, event_id, topic, at, state, next_at)
             select e.org_id, e.id, f.id, f.topic, f.at, 'waiting', $1
             from fresh f join webhook_endpoints e on e.org_id = f.org_id
             where e.disabled_at is null and e.created_at <= f.at
               and ('*' = any(e.events) or f.topic = any(e.events))
             on conflict on constraint webhook_deliveries_pkey do nothing
             returning org_id, endpoint_id),
           done as (
             update outbox o set fanned_at = $1 from fresh f where o.org_id = f.org_id and o.id = f.id)
           select (select count(*) from fresh) as "events!", m.org_id as "org: OrgId", m.endpoint_id as "endpoint: EndpointId"
           from (select 1) one left join (select distinct org_id, endpoint_id from made) m on true"#,
        now,
        limit,
    )
    .fetch_all(db)
    .await?;
    let events = rows.first().map_or(0, |row| row.events);
    let endpoints = rows
        .into_iter()
        .filter_map(|row| Some((row.org?, row.endpoint?)));
    Ok((events, endpoints.collect()))
}

/// Endpoints have something due now. In order, so that nodes do not deadlock.
pub(super) async fn wake(
    db: impl PgExecutor<'_>,
    endpoints: &[Of],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "with held as (
           select e.org_id, e.id from webhook_endpoints e
           join unnest($1::uuid[], $2::uuid[]) as k (org, id) on e.org_id = k.org and e.id = k.id
           order by e.org_id, e.id for no key update of e)
         update webhook_endpoints e set due_at = least(coalesce(e.due_at, $3), $3)
         from held h where e.org_id = h.org_id and e.id = h.id",
        &column!(endpoints, (org, _) => org.0),
        &column!(endpoints, (_, id) => id.0),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes endpoints that have something due, of each lane as many as there are places.
pub(super) async fn lease(
    db: &PgPool,
    places: [i64; LANES],
    lease: Uuid,
    (now, until): (OffsetDateTime, OffsetDateTime),
) -> Result<Vec<Leased>> {
    Ok(sqlx::query_as!(
        Leased,
        r#"with free as (
             select e.org_id, e.id
             from unnest(array[0, 1, 2]::smallint[], $1::bigint[]) as l (lane, places)
             cross join lateral (
               select org_id, id from webhook_endpoints
               where lane = l.lane and due_at <= $3 and disabled_at is null
                 and (leased_until is null or leased_until <= $3)
               order by due_at limit l.places for no key update skip locked) e)
           update webhook_endpoints e set leased_until = $4, lease = $2
           from free f where e.org_id = f.org_id and e.id = f.id
           returning e.org_id as "org: OrgId", e.id as "id: EndpointId", e.lane, e.lease, e.url, e.signature,
             e.secret_sealed, e.former_secret_sealed, e.former_secret_until"#,
        &places[..],
        lease,
        now,
        until,
    )
    .fetch_all(db)
    .await?)
}

/// What is due at an endpoint that is still held; holds it for longer.
pub(super) async fn next(
    db: &PgPool,
    endpoint: &Leased,
    (now, until): (OffsetDateTime, OffsetDateTime),
    most: i64,
) -> Result<Vec<Due>> {
    Ok(sqlx::query_as!(
        Due,
        r#"with held as (
             update webhook_endpoints set leased_until = $5
             where org_id = $1 and id = $2 and lease = $3 and disabled_at is null returning org_id, id)
           select d.event_id as "event: EventId", d.topic, d.at, o.seq, o.data::text as "data!", d.attempts, d.step
           from held h
           join webhook_deliveries d on d.org_id = h.org_id and d.endpoint_id = h.id
           join outbox o on o.org_id = d.org_id and o.id = d.event_id
           where d.next_at <= $4 order by d.next_at, d.at, o.seq limit $6"#,
        endpoint.org.0,
        endpoint.id.0,
        endpoint.lease,
        now,
        until,
        most,
    )
    .fetch_all(db)
    .await?)
}

/// Ends a lease. The row is held before its deliveries are looked at, so that none that comes meanwhile is missed.
pub(super) async fn give_back(db: &PgPool, endpoint: &Leased) -> Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query!(
        "select id from webhook_endpoints where org_id = $1 and id = $2 and lease = $3 for no key update",
        endpoint.org.0,
        endpoint.id.0,
        endpoint.lease,
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query!(
        "update webhook_endpoints e set lease = null, leased_until = null, due_at = case when e.disabled_at is null then
           (select min(d.next_at) from webhook_deliveries d where d.org_id = e.org_id and d.endpoint_id = e.id
              and d.next_at is not null) end
         where e.org_id = $1 and e.id = $2 and e.lease = $3",
        endpoint.org.0,
        endpoint.id.0,
        endpoint.lease,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Holds endpoints until the transaction ends; in order.
pub(super) async fn hold(tx: &mut PgConnection, endpoints: &[Of]) -> Result<()> {
    sqlx::query!(
        "select e.id from webhook_endpoints e
         join unnest($1::uuid[], $2::uuid[]) as k (org, id) on e.org_id = k.org and e.id = k.id
         order by e.org_id, e.id for no key update of e",
        &column!(endpoints, (org, _) => org.0),
        &column!(endpoints, (_, id) => id.0),
    )
    .fetch_all(tx)
    .await?;
    Ok(())
}

/// Writes what came of attempts; tells of which, since one that is known already changes nothing.
pub(super) async fn record(
    tx: &mut PgConnection,
    attempts: &[Attempt],
) -> Result<HashSet<(EndpointId, EventId)>> {
    let rows = sqlx::query!(
        r#"update webhook_deliveries d set attempts = t.number, step = d.step + 1, state = t.state, next_at = t.next_at,
             ended_at = case when t.next_at is null then t.at end, tried_at = t.at, status = t.status, error = t.error,
             took_ms = t.took_ms, reply = t.reply
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::timestamptz[],
             $7::timestamptz[], $8::integer[], $9::text[], $10::integer[], $11::text[])
             as t (org, endpoint, event, number, state, next_at, at, status, error, took_ms, reply)
           where d.org_id = t.org and d.endpoint_id = t.endpoint and d.event_id = t.event
             and d.attempts = t.number - 1 and d.state = 'waiting'
           returning d.endpoint_id as "endpoint: EndpointId", d.event_id as "event: EventId""#,
        &column!(attempts, a => a.org.0),
        &column!(attempts, a => a.endpoint.0),
        &column!(attempts, a => a.event.0),
        &column!(attempts, a => a.number),
        &column!(attempts, a => a.state().to_owned()),
        &column!(attempts, a => a.next_at) as &[Option<OffsetDateTime>],
        &column!(attempts, a => a.at),
        &column!(attempts, a => a.outcome.status.map(i32::from)) as &[Option<i32>],
        &column!(attempts, a => a.outcome.error.clone()) as &[Option<String>],
        &column!(attempts, a => a.took_ms),
        &column!(attempts, a => a.outcome.reply.clone()) as &[Option<String>],
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.endpoint, row.event))
        .collect())
}

/// Endpoints work or fail, by the last attempt of each.
pub(super) async fn judge(tx: &mut PgConnection, last: &[&Attempt]) -> Result<()> {
    sqlx::query!(
        "update webhook_endpoints e set lane = case when t.worked then 0 else 2 end,
           last_success_at = case when t.worked then t.at else e.last_success_at end,
           failing_since = case when t.worked then null else coalesce(e.failing_since, t.at) end
         from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[]) as t (org, id, worked, at)
         where e.org_id = t.org and e.id = t.id",
        &column!(last, a => a.org.0),
        &column!(last, a => a.endpoint.0),
        &column!(last, a => a.outcome.is_success()),
        &column!(last, a => a.at),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Disables endpoints that answered 410, or that have been failing for too long; drops what waits for them.
pub(super) async fn disable(
    tx: &mut PgConnection,
    last: &[&Attempt],
    after: Duration,
) -> Result<Vec<GivenUp>> {
    let failed: Vec<_> = last.iter().filter(|a| !a.outcome.is_success()).collect();
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"with gone as (
             update webhook_endpoints e set disabled_at = t.at, due_at = null,
               disabled_reason = case when t.gone then 'gone' else 'failing' end
             from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[], $5::timestamptz[])
               as t (org, id, gone, at, since)
             where e.org_id = t.org and e.id = t.id and e.disabled_at is null and (t.gone or e.failing_since <= t.since)
             returning e.org_id, e.id, t.gone, t.at),
           dropped as (
             update webhook_deliveries d set state = 'dropped', next_at = null, ended_at = g.at
             from gone g where d.org_id = g.org_id and d.endpoint_id = g.id and d.next_at is not null)
           select org_id as "org: OrgId", id as "endpoint: EndpointId", gone as "gone!", at as "at!" from gone"#,
        &column!(failed, a => a.org.0),
        &column!(failed, a => a.endpoint.0),
        &column!(failed, a => a.outcome.is_gone()),
        &column!(failed, a => a.at),
        &column!(failed, a => a.at - after),
    )
    .fetch_all(tx)
    .await?;
    let given_up = rows.into_iter().map(|row| GivenUp {
        org: row.org,
        endpoint: row.endpoint,
        reason: if row.gone { "gone" } else { "failing" },
        at: row.at,
    });
    Ok(given_up.collect())
}

/// Disables endpoints that took nothing since `since`, though nothing was due to find it out.
pub(in crate::webhooks) async fn lapse(
    db: &PgPool,
    ids: &Ids,
    (now, since): (OffsetDateTime, OffsetDateTime),
) -> Result<()> {
    let mut tx = db.begin().await?;
    let rows = sqlx::query!(
        r#"with late as (
             select org_id, id from webhook_endpoints
             where disabled_at is null and failing_since <= $2
             order by org_id, id limit 1000 for no key update skip locked),
           gone as (
             update webhook_endpoints e set disabled_at = $1, disabled_reason = 'failing', due_at = null
             from late l where e.org_id = l.org_id and e.id = l.id returning e.org_id, e.id),
           dropped as (
             update webhook_deliveries d set state = 'dropped', next_at = null, ended_at = $1
             from gone g where d.org_id = g.org_id and d.endpoint_id = g.id and d.next_at is not null)
           select org_id as "org: OrgId", id as "endpoint: EndpointId" from gone"#,
        now,
        since,
    )
    .fetch_all(&mut *tx)
    .await?;
    let given_up: Vec<GivenUp> = rows
        .into_iter()
        .map(|row| GivenUp {
            org: row.org,
            endpoint: row.endpoint,
            reason: "failing",
            at: now,
        })
        .collect();
    tell(&mut tx, ids, &given_up).await?;
    let entries: Vec<Entry> = given_up.iter().map(GivenUp::entry).collect();
    audit::record(&mut tx, &entries).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets what is older than `before`: deliveries that ended, and events that nothing waits for.
pub(in crate::webhooks) async fn forget(db: &PgPool, before: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "delete from webhook_deliveries where at < $1 and next_at is null",
        before
    )
    .execute(db)
    .await?;
    sqlx::query!(
        "delete from outbox o where o.at < $1 and o.fanned_at is not null and not exists (
           select from webhook_deliveries d where d.org_id = o.org_id and d.event_id = o.id)",
        before
    )
    .execute(db)
    .await?;
    Ok(())
}
