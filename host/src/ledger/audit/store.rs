//! The statements that append to the audit log and read its chain. There is none that changes or removes.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::checkpoint::micros;
use super::read::digest;
use super::record::{Head, Linked};
use super::{Checkpoint, Stored};
use crate::kit::{OrgId, Result};

/// The heads of these chains, locked in this order; one that is new begins at nothing.
pub(super) async fn lock_heads(tx: &mut PgConnection, orgs: &[OrgId]) -> Result<Vec<Head>> {
    let orgs: Vec<Uuid> = orgs.iter().map(|org| org.0).collect();
    let rows = sqlx::query!(
        r#"insert into audit_heads as h (org_id, seq, hash)
           select o.id, 0, decode(repeat('00', 32), 'hex') from unnest($1::uuid[]) with ordinality as o (id, place)
           order by o.place
           on conflict on constraint audit_heads_pkey do update set seq = h.seq
           returning org_id as "org_id: OrgId", seq, hash"#,
        &orgs,
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Head {
                org: row.org_id,
                seq: row.seq,
                hash: digest(row.hash)?,
            })
        })
        .collect()
}

/// The columns of many rows, each as one array.
#[derive(Default)]
struct Columns<'a> {
    org: Vec<Uuid>,
    seq: Vec<i64>,
    source: Vec<&'a str>,
    at: Vec<OffsetDateTime>,
    actor: Vec<&'a str>,
    actor_id: Vec<&'a str>,
    action: Vec<&'a str>,
    target: Vec<&'a str>,
    target_id: Vec<&'a str>,
    /// JSON arrays: PostgreSQL has no array of arrays of different lengths.
    changed: Vec<String>,
    status: Vec<&'a str>,
    code: Vec<Option<&'a str>>,
    request_id: Vec<Option<&'a str>>,
    ip: Vec<Option<&'a str>>,
    detail: Vec<Option<&'a str>>,
    hash: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [Linked<'a>]) -> Self {
        let mut columns = Self::default();
        for Linked { entry, seq, hash } in rows {
            columns.org.push(entry.org.0);
            columns.seq.push(*seq);
            columns.source.push(entry.source.as_str());
            columns.at.push(entry.at);
            columns.actor.push(entry.actor.kind);
            columns.actor_id.push(&entry.actor.id);
            columns.action.push(entry.action.as_str());
            columns.target.push(entry.target.kind);
            columns.target_id.push(&entry.target.id);
            let changed = entry.changed.iter().map(String::as_str);
            columns
                .changed
                .push(serde_json::Value::from_iter(changed).to_string());
            columns.status.push(entry.status.as_str());
            columns.code.push(entry.code.as_deref());
            columns.request_id.push(entry.request_id.as_deref());
            columns.ip.push(entry.ip.as_deref());
            columns.detail.push(entry.detail.as_deref());
            columns.hash.push(hash);
        }
        columns
    }
}

/// Writes the rows and moves the heads behind them, in one statement.
pub(super) async fn append(
    tx: &mut PgConnection,
    rows: &[Linked<'_>],
    heads: &[Head],
) -> Result<()> {
    let columns = Columns::of(rows);
    let orgs: Vec<Uuid> = heads.iter().map(|head| head.org.0).collect();
    let seqs: Vec<i64> = heads.iter().map(|head| head.seq).collect();
    let hashes: Vec<&[u8]> = heads.iter().map(|head| &head.hash[..]).collect();
    sqlx::query!(
        "with appended as (
           insert into audit_entries (org_id, seq, source, at, actor, actor_id, action, target, target_id, changed,
             status, code, request_id, ip, detail, hash)
           select r.org_id, r.seq, r.source, r.at, r.actor, r.actor_id, r.action, r.target, r.target_id,
             array(select json_array_elements_text(r.changed::json)), r.status, r.code, r.request_id, r.ip,
             r.detail::json, r.hash
           from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
             $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
             $16::bytea[])
             as r (org_id, seq, source, at, actor, actor_id, action, target, target_id, changed, status, code,
               request_id, ip, detail, hash))
         update audit_heads h set seq = n.seq, hash = n.hash
         from unnest($17::uuid[], $18::bigint[], $19::bytea[]) as n (org_id, seq, hash) where h.org_id = n.org_id",
        &columns.org,
        &columns.seq,
        &columns.source as &[&str],
        &columns.at,
        &columns.actor as &[&str],
        &columns.actor_id as &[&str],
        &columns.action as &[&str],
        &columns.target as &[&str],
        &columns.target_id as &[&str],
        &columns.changed,
        &columns.status as &[&str],
        &columns.code as &[Option<&str>],
        &columns.request_id as &[Option<&str>],
        &columns.ip as &[Option<&str>],
        &columns.detail as &[Option<&str>],
        &columns.hash as &[&[u8]],
        &orgs,
        &seqs,
        &hashes as &[&[u8]],
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn rows(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (after, up_to): (i64, i64),
    limit: i64,
) -> Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Stored,
        r#"select org_id as "org_id: OrgId", seq, source, at, actor, actor_id, action, target, target_id, changed,
             status, code, request_id, ip, detail::text as detail, hash
           from audit_entries where org_id = $1 and seq > $2 and seq <= $3 order by seq limit $4"#,
        org.0,
        after,
        up_to,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

pub(super) async fn head(db: impl PgExecutor<'_>, org: OrgId) -> Result<Option<(i64, Vec<u8>)>> {
    let row = sqlx::query!("select seq, hash from audit_heads where org_id = $1", org.0)
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| (row.seq, row.hash)))
}

pub(super) async fn heads(db: impl PgExecutor<'_>) -> Result<Vec<(OrgId, i64, Vec<u8>)>> {
    let rows = sqlx::query!(
        r#"select org_id as "org_id: OrgId", seq, hash from audit_heads order by org_id"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.org_id, row.seq, row.hash))
        .collect())
}

pub(super) async fn checkpoints(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (after, up_to): (i64, i64),
    limit: i64,
) -> Result<Vec<Checkpoint>> {
    let rows = sqlx::query!(
        "select seq, hash, at, key_id, signature from audit_checkpoints
         where org_id = $1 and seq > $2 and seq <= $3 order by seq limit $4",
        org.0,
        after,
        up_to,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Checkpoint {
                org: org.0,
                seq: row.seq,
                hash: digest(row.hash)?,
                at: micros(row.at),
                key_id: row.key_id,
                signature: digest(row.signature)?,
            })
        })
        .collect()
}

pub(super) async fn public_keys(
    db: impl PgExecutor<'_>,
) -> Result<Vec<(String, Vec<u8>, OffsetDateTime)>> {
    let rows =
        sqlx::query!("select id, public_key, created_at from audit_keys order by created_at, id")
            .fetch_all(db)
            .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.public_key, row.created_at))
        .collect())
}
