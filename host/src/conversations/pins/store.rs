//! The statements of versions that conversations stay on. The lot is drawn as runs draw it (`agents/channels/choose.rs`).

use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Pointers;
use crate::kit::{OrgId, Result};

/// Open conversations whose version is not the one they choose now, by id; those that were pinned by name stay.
pub async fn choosing(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, Uuid),
    (stable, canary): Pointers,
) -> Result<Vec<Uuid>> {
    let (canary, weight) = canary.unzip();
    let choosing = sqlx::query_scalar!(
        "select id from conversations
         where org_id = $1 and agent_id = $2 and archived_at is null and channel is not null
           and version <> case when (('x' || substr(encode(sha256(uuid_send(agent_id) || uuid_send(id)), 'hex'), 1, 13))::bit(52)::bigint)
             ::double precision / 4503599627370496 < $5::double precision then $4::integer else $3::integer end
         order by id",
        org.0,
        agent,
        stable,
        canary,
        weight,
    );
    Ok(choosing.fetch_all(db).await?)
}

/// Pins those of the conversations that are open anew, while the channels are still where they were said to be; tells how
/// many have another version now.
pub(super) async fn repin(
    db: &PgPool,
    (org, agent): (OrgId, Uuid),
    (stable, canary): Pointers,
    some: &[Uuid],
) -> Result<i64> {
    let (canary, weight) = canary.unzip();
    let moved = sqlx::query!(
        "with still as (
           select name from agent_channels where org_id = $1 and agent_id = $2 and name = 'stable' and version = $3
             and canary is not distinct from $4::integer and weight is not distinct from $5::double precision for share),
         open as (
           select id, case when (('x' || substr(encode(sha256(uuid_send(agent_id) || uuid_send(id)), 'hex'), 1, 13))::bit(52)::bigint)
             ::double precision / 4503599627370496 < $5 then $4 else $3::integer end as version
           from conversations
           where org_id = $1 and agent_id = $2 and id = any($6) and archived_at is null and channel is not null
             and exists (select from still)
           order by id for no key update)
         update conversations c set version = o.version,
           channel = case when o.version = $3 then 'stable' else 'canary' end, channel_named = false
         from open o where c.org_id = $1 and c.id = o.id and c.version <> o.version",
        org.0,
        agent,
        stable,
        canary,
        weight,
        some,
    );
    let moved = moved.execute(db).await?.rows_affected();
    Ok(i64::try_from(moved).unwrap_or(i64::MAX))
}

/// Open conversations that are on a version by a channel.
pub async fn drawn(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, Uuid),
    version: i32,
) -> Result<i64> {
    let drawn = sqlx::query_scalar!(
        r#"select count(*) as "drawn!" from conversations
           where org_id = $1 and agent_id = $2 and version = $3 and archived_at is null and channel is not null"#,
        org.0,
        agent,
        version,
    );
    Ok(drawn.fetch_one(db).await?)
}

/// Pins some of the open conversations that are on a version by a channel anew, where no channel points at it; tells how many.
pub(super) async fn leave(
    db: &PgPool,
    (org, agent): (OrgId, Uuid),
    version: i32,
    limit: i64,
) -> Result<i64> {
    let moved = sqlx::query!(
        "with here as (
           select version, canary, weight from agent_channels where org_id = $1 and agent_id = $2 and name = 'stable'
             and version <> $3 and canary is distinct from $3 for share),
         open as (
           select c.id, h.version as stable,
             case when (('x' || substr(encode(sha256(uuid_send(c.agent_id) || uuid_send(c.id)), 'hex'), 1, 13))::bit(52)::bigint)
               ::double precision / 4503599627370496 < h.weight then h.canary else h.version end as version
           from conversations c cross join here h
           where c.org_id = $1 and c.agent_id = $2 and c.version = $3 and c.archived_at is null and c.channel is not null
           order by c.id limit $4 for no key update of c)
         update conversations c set version = o.version,
           channel = case when o.version = o.stable then 'stable' else 'canary' end, channel_named = false
         from open o where c.org_id = $1 and c.id = o.id",
        org.0,
        agent,
        version,
        limit,
    );
    let moved = moved.execute(db).await?.rows_affected();
    Ok(i64::try_from(moved).unwrap_or(i64::MAX))
}

/// How many open conversations stay on a version. Those whose key may say nothing any more do not count.
pub async fn staying(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, Uuid),
    (version, now): (i32, OffsetDateTime),
) -> Result<i64> {
    let open = sqlx::query_scalar!(
        r#"select count(*) as "open!" from conversations c
           join api_keys k on k.org_id = c.org_id and k.id = c.key_id and k.revoked_at is null
             and (k.expires_at is null or k.expires_at > $4)
           where c.org_id = $1 and c.agent_id = $2 and c.version = $3 and c.archived_at is null"#,
        org.0,
        agent,
        version,
        now,
    );
    Ok(open.fetch_one(db).await?)
}
