//! The statements of entries, chunks and generations. Every one is bounded by an organization but the sweep.

use futures_util::stream::BoxStream;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entries::Prepared;
use super::{ChunkId, Entry, EntryId, EntryWithContent, ListQuery};
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};

/// Where an organization's knowledge stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) generation: i64,
    pub(super) forgotten: i64,
}

/// One chunk of a changed entry; a changed entry without chunks is one row without a chunk.
pub(super) struct Change {
    pub(super) generation: i64,
    pub(super) entry: Uuid,
    pub(super) title: String,
    pub(super) tags: Vec<String>,
    pub(super) chunk: Option<Uuid>,
    pub(super) heading: Option<String>,
    pub(super) content: Option<String>,
}

/// A chunk as it is searched for and cited.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) chunk: ChunkId,
    pub(super) entry: EntryId,
    pub(super) title: String,
    pub(super) heading: String,
    pub(super) source: Option<String>,
    pub(super) start_byte: i32,
    pub(super) end_byte: i32,
    pub(super) content: String,
}

/// `None` where the organization never had an entry.
pub(super) async fn standing(db: &PgPool, org: OrgId) -> Result<Option<Standing>> {
    let standing = sqlx::query_as!(
        Standing,
        "select generation, forgotten_generation as forgotten from knowledge_orgs where org_id = $1",
        org.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(standing)
}

/// Takes the organization's next generation and, until the transaction ends, its lock.
pub(super) async fn advance(db: impl PgExecutor<'_>, org: OrgId) -> Result<i64> {
    let generation = sqlx::query_scalar!(
        "insert into knowledge_orgs as o (org_id, generation) values ($1, 1)
         on conflict (org_id) do update set generation = o.generation + 1 returning generation",
        org.0,
    )
    .fetch_one(db)
    .await?;
    Ok(generation)
}

/// The live entry with this id or from this source, and its digest.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: Option<EntryId>,
    source: Option<&str>,
) -> Result<Option<(Entry, Vec<u8>)>> {
    let row = sqlx::query!(
        r#"select id as "id: EntryId", title, type as kind, tags, source, content_bytes, chunks, created_at,
             updated_at, digest from knowledge_entries
           where org_id = $1 and deleted_at is null and (id = $2 or source = $3) limit 1"#,
        org.0,
        id.map(|id| id.0),
        source,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let entry = Entry {
            id: row.id,
            title: row.title,
            kind: row.kind,
            tags: row.tags,
            source: row.source,
            content_bytes: row.content_bytes,
            chunks: row.chunks,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        (entry, row.digest)
    }))
}

pub(super) async fn get(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: EntryId,
) -> Result<EntryWithContent> {
    let row = sqlx::query!(
        r#"select id as "id: EntryId", title, type as kind, tags, source, content_bytes, chunks, created_at,
             updated_at, content from knowledge_entries where org_id = $1 and id = $2 and deleted_at is null"#,
        org.0,
        id.0,
    )
    .fetch_optional(db)
    .await?
    .ok_or_else(|| Error::not_found("entry"))?;
    Ok(EntryWithContent {
        entry: Entry {
            id: row.id,
            title: row.title,
            kind: row.kind,
            tags: row.tags,
            source: row.source,
            content_bytes: row.content_bytes,
            chunks: row.chunks,
            created_at: row.created_at,
            updated_at: row.updated_at,
        },
        content: row.content,
    })
}

pub(super) async fn list(
    db: &PgPool,
    org: OrgId,
    query: &ListQuery,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        Entry,
        r#"select id as "id: EntryId", title, type as kind, tags, source, content_bytes, chunks, created_at, updated_at
           from knowledge_entries
           where org_id = $1 and deleted_at is null
             and ($2::timestamptz is null or (created_at, id) < ($2, $3::uuid))
             and ($5::text is null or $5 = any(tags)) and ($6::text is null or type = $6)
             and ($7::text is null or source = $7)
           order by created_at desc, id desc limit $4"#,
        org.0,
        at,
        id,
        limit,
        query.tag,
        query.kind,
        query.source,
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (id, generation): (EntryId, i64),
    entry: &Prepared,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into knowledge_entries (org_id, id, source, title, content, tags, type, digest, content_bytes, chunks,
           generation, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, octet_length($5), $9, $10, $11, $11)",
        org.0,
        id.0,
        entry.source,
        entry.title,
        entry.content,
        &entry.tags,
        entry.kind,
        entry.digest,
        count(entry)?,
        generation,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn replace(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (id, generation): (EntryId, i64),
    entry: &Prepared,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update knowledge_entries set title = $3, content = $4, tags = $5, type = $6, digest = $7,
           content_bytes = octet_length($4), chunks = $8, generation = $9, updated_at = $10
         where org_id = $1 and id = $2",
        org.0,
        id.0,
        entry.title,
        entry.content,
        &entry.tags,
        entry.kind,
        entry.digest,
        count(entry)?,
        generation,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes a tombstone of an entry; `false` where there is no such entry.
pub(super) async fn bury(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (id, generation): (EntryId, i64),
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "update knowledge_entries set title = '', content = '', tags = '{}', digest = '', content_bytes = 0, chunks = 0,
           source = null, generation = $3, deleted_at = $4, updated_at = $4
         where org_id = $1 and id = $2 and deleted_at is null",
        org.0,
        id.0,
        generation,
        now,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn delete_chunks(
    db: impl PgExecutor<'_>,
    org: OrgId,
    entry: EntryId,
) -> Result<()> {
    sqlx::query!(
        "delete from knowledge_chunks where org_id = $1 and entry_id = $2",
        org.0,
        entry.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn insert_chunks(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: EntryId,
    entry: &Prepared,
) -> Result<()> {
    let chunks = &entry.chunks;
    let ids: Vec<Uuid> = chunks.iter().map(|(id, _)| id.0).collect();
    let headings: Vec<String> = chunks.iter().map(|(_, c)| c.heading.clone()).collect();
    let texts: Vec<String> = chunks
        .iter()
        .map(|(_, c)| entry.content[c.start..c.end].to_owned())
        .collect();
    let offsets = |of: fn(&super::chunks::Chunk) -> usize| -> Result<Vec<i32>> {
        let offsets = chunks.iter().map(|(_, c)| i32::try_from(of(c)));
        offsets.collect::<Result<_, _>>().map_err(Error::internal)
    };
    sqlx::query!(
        "insert into knowledge_chunks (org_id, id, entry_id, position, heading, start_byte, end_byte, content)
         select $1, c.id, $2, c.position - 1, c.heading, c.start_byte, c.end_byte, c.content
         from unnest($3::uuid[], $4::text[], $5::int[], $6::int[], $7::text[])
           with ordinality as c (id, heading, start_byte, end_byte, content, position)",
        org.0,
        id.0,
        &ids,
        &headings,
        &offsets(|c| c.start)?,
        &offsets(|c| c.end)?,
        &texts,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Everything that changed after `generation`, an entry's chunks together: one snapshot, streamed.
pub(super) fn changes(
    db: &PgPool,
    org: OrgId,
    generation: i64,
) -> BoxStream<'_, Result<Change, sqlx::Error>> {
    sqlx::query_as!(
        Change,
        r#"select e.generation, e.id as entry, e.title, e.tags, c.id as "chunk?", c.heading as "heading?",
             c.content as "content?"
           from knowledge_entries e
           left join knowledge_chunks c on c.org_id = e.org_id and c.entry_id = e.id
           where e.org_id = $1 and e.generation > $2 order by e.generation, c.position"#,
        org.0,
        generation,
    )
    .fetch(db)
}

/// The chunks with these ids that are still there, in no order.
pub(super) async fn passages(db: &PgPool, org: OrgId, chunks: &[Uuid]) -> Result<Vec<Passage>> {
    let rows = sqlx::query_as!(
        Passage,
        r#"select c.id as "chunk: ChunkId", e.id as "entry: EntryId", e.title, c.heading, e.source, c.start_byte,
             c.end_byte, c.content
           from knowledge_chunks c join knowledge_entries e on e.org_id = c.org_id and e.id = c.entry_id
           where c.org_id = $1 and c.id = any($2)"#,
        org.0,
        chunks,
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// Removes tombstones older than `before` and remembers, for each organization, up to where.
pub(super) async fn forget_tombstones(db: &PgPool, before: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "with gone as (delete from knowledge_entries where deleted_at < $1 returning org_id, generation),
           newest as (select org_id, max(generation) as generation from gone group by org_id)
         update knowledge_orgs o set forgotten_generation = greatest(o.forgotten_generation, n.generation)
         from newest n where o.org_id = n.org_id",
        before,
    )
    .execute(db)
    .await?;
    Ok(())
}

fn count(entry: &Prepared) -> Result<i32> {
    i32::try_from(entry.chunks.len()).map_err(Error::internal)
}
