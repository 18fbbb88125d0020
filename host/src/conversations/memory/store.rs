//! The statements of memories. That of runs' ends takes a whole batch.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::conversations::{Answer, ConversationId};
use crate::kit::{OrgId, Result};

/// The columns of a batch: one `Vec` for each column of one `unnest`.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// What runs that end wrote becomes their conversations': of each key what was written last. Their steps are written by
/// then, and their conversations locked. What is archived remembers nothing.
pub async fn remember(tx: &mut PgConnection, ends: &[&Answer]) -> Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with written as (
           select distinct on (t.org, t.id, s.request ->> 'key') t.org, t.id, t.run, t.hides_pii,
             s.request ->> 'key' as key, s.request ->> 'value' as value, s.ended_at as at
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[]) as t (org, id, run, hides_pii)
           join conversations c on c.org_id = t.org and c.id = t.id and c.archived_at is null
           join run_steps s on s.org_id = t.org and s.run_id = t.run
           where s.kind in ('memory.set', 'memory.delete') and s.status = 'ok'
           order by t.org, t.id, s.request ->> 'key', s.seq desc),
         deleted as (
           delete from conversation_memory m using written w
           where m.org_id = w.org and m.conversation_id = w.id and m.key = w.key and w.value is null)
         insert into conversation_memory (org_id, conversation_id, key, value, run_id, written_at, hides_pii)
         select org, id, key, value, run, at, hides_pii from written where value is not null
         on conflict on constraint conversation_memory_pkey do update set value = excluded.value,
           run_id = excluded.run_id, written_at = excluded.written_at, hides_pii = excluded.hides_pii",
        &column!(ends, end => end.org.0),
        &column!(ends, end => end.conversation.0),
        &column!(ends, end => end.run),
        &column!(ends, end => end.hides_pii),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keys and values.
pub(super) async fn values(
    db: &PgPool,
    org: OrgId,
    id: ConversationId,
) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "select key, value from conversation_memory where org_id = $1 and conversation_id = $2",
        org.0,
        id.0,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}

pub(super) struct Row {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) run_id: Uuid,
    pub(super) written_at: OffsetDateTime,
    pub(super) hides_pii: bool,
}

pub(super) async fn list(db: &PgPool, org: OrgId, id: ConversationId) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        "select key, value, run_id, written_at, hides_pii from conversation_memory
         where org_id = $1 and conversation_id = $2 order by key",
        org.0,
        id.0,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Deletes all of it; tells how many keys there were.
pub(in crate::conversations) async fn forget(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: ConversationId,
) -> Result<u64> {
    let deleted = sqlx::query!(
        "delete from conversation_memory where org_id = $1 and conversation_id = $2",
        org.0,
        id.0,
    );
    Ok(deleted.execute(db).await?.rows_affected())
}
