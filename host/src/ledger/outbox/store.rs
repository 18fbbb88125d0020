//! The statement of the outbox: one insert for a whole batch.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Notice;
use crate::kit::Result;

/// The columns of a batch: one `Vec` for each column of one `unnest`.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// Writes events in the transaction of what they state. Events of organizations without an endpoint are not kept; one
/// that is there already stays as it is.
pub async fn announce<'a>(
    tx: &mut PgConnection,
    notices: impl IntoIterator<Item = &'a Notice>,
) -> Result<()> {
    let notices: Vec<&Notice> = notices.into_iter().collect();
    if notices.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into outbox (org_id, id, topic, run_id, seq, at, data)
         select n.org, n.id, n.topic, n.run, n.seq, n.at, n.data::json
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::integer[], $6::timestamptz[], $7::text[])
           as n (org, id, topic, run, seq, at, data)
         where exists (select from webhook_endpoints e where e.org_id = n.org)
         on conflict on constraint outbox_pkey do nothing",
        &column!(notices, notice => notice.org.0),
        &column!(notices, notice => notice.id.0),
        &column!(notices, notice => notice.topic.name().to_owned()),
        &column!(notices, notice => notice.run.map(|(run, _)| run)) as &[Option<Uuid>],
        &column!(notices, notice => notice.run.map(|(_, seq)| seq)) as &[Option<i32>],
        &column!(notices, notice => notice.at) as &[OffsetDateTime],
        &column!(notices, notice => notice.data.clone()),
    )
    .execute(tx)
    .await?;
    Ok(())
}
