//! The statements of deliveries that people ask for.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::{Delivery, LastAttempt};
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};
use crate::ledger::outbox::EventId;
use crate::webhooks::EndpointId;

pub(super) struct Row {
    pub(super) event: EventId,
    topic: String,
    pub(super) at: OffsetDateTime,
    state: String,
    attempts: i32,
    next_at: Option<OffsetDateTime>,
    ended_at: Option<OffsetDateTime>,
    tried_at: Option<OffsetDateTime>,
    status: Option<i32>,
    error: Option<String>,
    took_ms: Option<i32>,
    reply: Option<String>,
}

impl Row {
    pub(super) fn view(self) -> Delivery {
        let (status, error, reply) = (self.status, self.error, self.reply);
        let took_ms = self.took_ms.unwrap_or_default();
        Delivery {
            event: self.event,
            topic: self.topic,
            at: self.at,
            state: self.state,
            attempts: self.attempts,
            next_attempt_at: self.next_at,
            ended_at: self.ended_at,
            last_attempt: self.tried_at.map(|at| LastAttempt {
                at,
                status,
                error,
                took_ms,
                reply,
            }),
        }
    }
}

/// An endpoint of an organization.
type Of = (OrgId, EndpointId);

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    (org, endpoint): Of,
    (state, start): (Option<&str>, Option<Cursor>),
    limit: i64,
) -> Result<Vec<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select event_id as "event: EventId", topic, at, state, attempts, next_at, ended_at, tried_at, status, error,
             took_ms, reply
           from webhook_deliveries
           where org_id = $1 and endpoint_id = $2 and ($3::text is null or state = $3)
             and ($4::timestamptz is null or (at, event_id) < ($4, $5::uuid))
           order by at desc, event_id desc limit $6"#,
        org.0,
        endpoint.0,
        state,
        start.map(|cursor| cursor.at),
        start.map(|cursor| cursor.id),
        limit,
    )
    .fetch_all(db)
    .await?)
}

pub(super) async fn find(
    db: impl PgExecutor<'_>,
    (org, endpoint): Of,
    event: EventId,
) -> Result<Option<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select event_id as "event: EventId", topic, at, state, attempts, next_at, ended_at, tried_at, status, error,
             took_ms, reply
           from webhook_deliveries where org_id = $1 and endpoint_id = $2 and event_id = $3"#,
        org.0,
        endpoint.0,
        event.0,
    )
    .fetch_optional(db)
    .await?)
}

/// From the start of the schedule, whatever became of it.
pub(super) async fn again(
    db: impl PgExecutor<'_>,
    (org, endpoint): Of,
    event: EventId,
    now: OffsetDateTime,
) -> Result<Option<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"update webhook_deliveries set state = 'waiting', step = 0, next_at = $4, ended_at = null
           where org_id = $1 and endpoint_id = $2 and event_id = $3
           returning event_id as "event: EventId", topic, at, state, attempts, next_at, ended_at, tried_at, status,
             error, took_ms, reply"#,
        org.0,
        endpoint.0,
        event.0,
        now,
    )
    .fetch_optional(db)
    .await?)
}

/// Makes an event that goes to this endpoint and to no other.
pub(super) async fn only_to(
    db: impl PgExecutor<'_>,
    (org, endpoint): Of,
    event: EventId,
    now: OffsetDateTime,
) -> Result<Row> {
    Ok(sqlx::query_as!(
        Row,
        r#"with told as (
             update outbox set fanned_at = $4 where org_id = $1 and id = $3 returning topic, at)
           insert into webhook_deliveries (org_id, endpoint_id, event_id, topic, at, state, next_at)
           select $1, $2, $3, topic, at, 'waiting', $4 from told
           returning event_id as "event: EventId", topic, at, state, attempts, next_at, ended_at, tried_at, status,
             error, took_ms, reply"#,
        org.0,
        endpoint.0,
        event.0,
        now,
    )
    .fetch_one(db)
    .await?)
}

/// Puts the events of a span back to the start of their schedule; what has no delivery gets one. Tells how many, at
/// most one more than `most`.
pub(super) async fn replay(
    db: impl PgExecutor<'_>,
    (org, endpoint): Of,
    (since, until, delivered): (OffsetDateTime, OffsetDateTime, bool),
    (now, most): (OffsetDateTime, i64),
) -> Result<u64> {
    let put = sqlx::query!(
        "insert into webhook_deliveries (org_id, endpoint_id, event_id, topic, at, state, next_at)
         select o.org_id, e.id, o.id, o.topic, o.at, 'waiting', $6
         from webhook_endpoints e
         join outbox o on o.org_id = e.org_id
         left join webhook_deliveries d on d.org_id = o.org_id and d.endpoint_id = e.id and d.event_id = o.id
         where e.org_id = $1 and e.id = $2 and o.at >= $3 and o.at <= $4
           and o.topic <> 'webhook_endpoint.test' and ('*' = any(e.events) or o.topic = any(e.events))
           and (d.state is null or d.state in ('failed', 'dropped') or ($5 and d.state = 'delivered'))
         order by o.at, o.id limit $7::bigint + 1
         on conflict on constraint webhook_deliveries_pkey do update
           set state = 'waiting', step = 0, next_at = excluded.next_at, ended_at = null",
        org.0,
        endpoint.0,
        since,
        until,
        delivered,
        now,
        most,
    );
    Ok(put.execute(db).await?.rows_affected())
}

/// The endpoint has something due now.
pub(super) async fn wake(
    db: impl PgExecutor<'_>,
    (org, endpoint): Of,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update webhook_endpoints set due_at = least(coalesce(due_at, $3), $3) where org_id = $1 and id = $2",
        org.0,
        endpoint.0,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
