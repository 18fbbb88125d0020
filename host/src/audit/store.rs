//! The statements of lists, checkpoints and the keys that sign.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::checkpoints::Due;
use super::list::Filter;
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{Checkpoint, Stored};

pub(super) async fn list(
    db: &PgPool,
    filter: &Filter,
    (after, limit): (Option<Cursor>, i64),
) -> Result<Vec<Stored>> {
    let (at, seq) = after
        .map(|cursor| (cursor.at, i64::try_from(cursor.id.as_u128()).unwrap_or(0)))
        .unzip();
    let rows = sqlx::query_as!(
        Stored,
        r#"select org_id as "org_id: OrgId", seq, source, at, actor, actor_id, action, target, target_id, changed,
             status, code, request_id, ip, detail::text as detail, hash
           from audit_entries
           where org_id = $1 and source = $2 and at >= $3 and ($4::timestamptz is null or at < $4)
             and ($5::timestamptz is null or (at, seq) < ($5, $6::bigint))
             and ($7::text is null or actor_id = $7) and ($8::text is null or action = $8)
             and ($9::text is null or status = $9)
           order by at desc, seq desc limit $10"#,
        filter.org.0,
        filter.source,
        filter.from,
        filter.to,
        at,
        seq,
        filter.actor,
        filter.action,
        filter.status,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// The keys there are, oldest first.
pub(super) async fn sealed_keys(db: &PgPool) -> Result<Vec<Vec<u8>>> {
    let keys = sqlx::query_scalar!("select secret_sealed from audit_keys order by created_at, id")
        .fetch_all(db)
        .await?;
    Ok(keys)
}

pub(super) async fn insert_key(
    db: &PgPool,
    (id, public, sealed): (&str, &[u8], &[u8]),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into audit_keys (id, public_key, secret_sealed, created_at) values ($1, $2, $3, $4)",
        id,
        public,
        sealed,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The chains with `rows` rows that are not signed, or whose first such row is from before `old`.
pub(super) async fn due(
    db: &PgPool,
    (rows, old): (i64, OffsetDateTime),
    limit: i64,
) -> Result<Vec<Due>> {
    let due = sqlx::query_as!(
        Due,
        r#"select h.org_id as "org: OrgId", h.seq, coalesce(c.seq, 0) as "signed!", c.hash as "hash?"
           from audit_heads h
           left join lateral (
             select seq, hash from audit_checkpoints where org_id = h.org_id order by seq desc limit 1) c on true
           where h.seq > coalesce(c.seq, 0) and (h.seq - coalesce(c.seq, 0) >= $1 or coalesce((
             select e.at <= $2 from audit_entries e
             where e.org_id = h.org_id and e.seq > coalesce(c.seq, 0) order by e.seq limit 1), true))
           order by h.org_id limit $3"#,
        rows,
        old,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(due)
}

/// Another host may have signed the same rows: the first stands.
pub(super) async fn insert_checkpoints(db: &PgPool, signed: &[Checkpoint]) -> Result<()> {
    let orgs: Vec<Uuid> = signed.iter().map(|c| c.org).collect();
    let seqs: Vec<i64> = signed.iter().map(|c| c.seq).collect();
    let hashes: Vec<Vec<u8>> = signed.iter().map(|c| c.hash.to_vec()).collect();
    let times = signed
        .iter()
        .map(|c| OffsetDateTime::from_unix_timestamp_nanos(i128::from(c.at) * 1_000));
    let times: Vec<OffsetDateTime> = times.collect::<Result<_, _>>().map_err(Error::internal)?;
    let keys: Vec<String> = signed.iter().map(|c| c.key_id.clone()).collect();
    let signatures: Vec<Vec<u8>> = signed.iter().map(|c| c.signature.to_vec()).collect();
    sqlx::query!(
        "insert into audit_checkpoints (org_id, seq, hash, at, key_id, signature)
         select * from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::timestamptz[], $5::text[], $6::bytea[])
         on conflict on constraint audit_checkpoints_pkey do nothing",
        &orgs,
        &seqs,
        &hashes,
        &times,
        &keys,
        &signatures,
    )
    .execute(db)
    .await?;
    Ok(())
}
