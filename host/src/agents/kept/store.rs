//! The statements of labels, deletion and collection.

use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

use super::LABEL_TAKEN;
use crate::agents::{AgentId, Digest};
use crate::kit::error::OnConstraint as _;
use crate::kit::{OrgId, Result};

/// Whether there is such a version.
pub(super) async fn set_label(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    number: i32,
    label: Option<&str>,
) -> Result<bool> {
    let set = sqlx::query!(
        "update agent_versions set label = $4
         where org_id = $1 and agent_id = $2 and number = $3 and deleted_at is null",
        org.0,
        agent.0,
        number,
        label,
    )
    .execute(db)
    .await
    .on_constraint("agent_versions_label_key", || {
        LABEL_TAKEN.because("It is taken.")
    })?;
    Ok(set.rows_affected() > 0)
}

pub(super) async fn labelled(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    label: &str,
) -> Result<Option<i32>> {
    let holder = sqlx::query_scalar!(
        "select number from agent_versions where org_id = $1 and agent_id = $2 and label = $3",
        org.0,
        agent.0,
        label,
    );
    Ok(holder.fetch_optional(db).await?)
}

/// The channels that use a version, in words.
pub(super) async fn channels_on(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    number: i32,
) -> Result<Vec<String>> {
    let row = sqlx::query!(
        r#"select (c.version = $3) as "stable!", (c.canary is not distinct from $3) as "canary!",
             ((select e.number from unnest(c.earlier) with ordinality as e (number, place)
               join agent_versions v on v.org_id = c.org_id and v.agent_id = c.agent_id and v.number = e.number
                 and v.deleted_at is null
               order by e.place desc limit 1) is not distinct from $3) as "back!"
           from agent_channels c where c.org_id = $1 and c.agent_id = $2 and c.name = 'stable'"#,
        org.0,
        agent.0,
        number,
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else {
        return Ok(Vec::new());
    };
    let users = [
        (row.stable, "the channel `stable`"),
        (row.canary, "the channel `canary`"),
        (row.back, "the rollback of `stable`"),
    ];
    let users = users.into_iter().filter(|(uses, _)| *uses);
    Ok(users.map(|(_, user)| user.to_owned()).collect())
}

/// Whether there was such a version. Its label is free again.
pub(super) async fn delete(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    number: i32,
    now: OffsetDateTime,
) -> Result<bool> {
    let deleted = sqlx::query!(
        "update agent_versions set deleted_at = $4, label = null
         where org_id = $1 and agent_id = $2 and number = $3 and deleted_at is null",
        org.0,
        agent.0,
        number,
        now,
    );
    Ok(deleted.execute(db).await?.rows_affected() > 0)
}

/// Components whose versions were all deleted before and that nothing is on, locked; what others have locked waits for the
/// next round. What is in use is passed over here already: it must not take the places of a round for ever.
pub(super) async fn lock_unused(
    db: impl PgExecutor<'_>,
    (before, now): (OffsetDateTime, OffsetDateTime),
    limit: i64,
) -> Result<Vec<Vec<u8>>> {
    let unused = sqlx::query_scalar!(
        "select c.digest from components c
         where c.collected_at is null
           and c.digest in (select digest from agent_versions where deleted_at < $1)
           and not exists (
             select from agent_versions v where v.digest = c.digest and coalesce(v.deleted_at, 'infinity') >= $1)
           and not exists (
             select from runs r join agent_versions v on v.org_id = r.org_id and v.agent_id = r.agent_id
               and v.number = r.version where v.digest = c.digest and r.ended_at is null)
           and not exists (
             select from conversations s
             join agent_versions v on v.org_id = s.org_id and v.agent_id = s.agent_id and v.number = s.version
             join api_keys k on k.org_id = s.org_id and k.id = s.key_id and k.revoked_at is null
               and (k.expires_at is null or k.expires_at > $2)
             where v.digest = c.digest and s.archived_at is null)
         order by c.digest limit $3 for update of c skip locked",
        before,
        now,
        limit,
    );
    Ok(unused.fetch_all(db).await?)
}

/// Takes the bytes of those that nothing needs now: every version of them was deleted before, no open run is on one, and no
/// open conversation of a key that may go on with it.
pub(super) async fn collect(
    db: impl PgExecutor<'_>,
    digests: &[Vec<u8>],
    (before, now): (OffsetDateTime, OffsetDateTime),
) -> Result<u64> {
    let collected = sqlx::query!(
        "update components c set bytes = '', collected_at = $3
         where c.digest = any($1) and c.collected_at is null and not exists (
           select from agent_versions v where v.digest = c.digest and (coalesce(v.deleted_at, 'infinity') >= $2
             or exists (select from runs r where r.org_id = v.org_id and r.agent_id = v.agent_id
               and r.version = v.number and r.ended_at is null)
             or exists (select from conversations s
               join api_keys k on k.org_id = s.org_id and k.id = s.key_id and k.revoked_at is null
                 and (k.expires_at is null or k.expires_at > $3)
               where s.org_id = v.org_id and s.agent_id = v.agent_id
                 and s.version = v.number and s.archived_at is null)))",
        digests,
        before,
        now,
    );
    Ok(collected.execute(db).await?.rows_affected())
}

/// Those of the digests whose bytes were taken.
pub(super) async fn collected(db: &PgPool, digests: &[Digest]) -> Result<Vec<Vec<u8>>> {
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.to_vec()).collect();
    let gone = sqlx::query_scalar!(
        "select digest from components where digest = any($1) and collected_at is not null",
        &digests,
    );
    Ok(gone.fetch_all(db).await?)
}
