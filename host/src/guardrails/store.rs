//! The statements of guardrails.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::ViolationId;
use super::violations::{Violation, ViolationView};
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};

macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// Writes many rows at once; what is there already stays.
pub async fn insert_violations(tx: &mut PgConnection, rows: &[&Violation]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into guardrail_violations (org_id, id, agent_id, version, run_id, kind, rule, place, action, message,
           detail, created_at)
         select a, b, c, d, e, f, g, h, i, j, k::json, l
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::uuid[], $6::text[], $7::text[], $8::text[],
           $9::text[], $10::text[], $11::text[], $12::timestamptz[]) as t (a, b, c, d, e, f, g, h, i, j, k, l)
         on conflict on constraint guardrail_violations_pkey do nothing",
        &column!(rows, row => row.org.0),
        &column!(rows, row => row.id.0),
        &column!(rows, row => row.agent),
        &column!(rows, row => row.version),
        &column!(rows, row => row.run) as &[Option<Uuid>],
        &column!(rows, row => row.kind.to_owned()),
        &column!(rows, row => row.rule.clone()),
        &column!(rows, row => row.at.to_owned()),
        &column!(rows, row => row.action.to_owned()),
        &column!(rows, row => row.message.clone()),
        &column!(rows, row => row.detail.to_string()),
        &column!(rows, row => row.created_at),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Counts a start in a window, unless there were `most` of them. A node whose clock is behind counts in the window that
/// others have begun.
pub(super) async fn count_start(
    tx: &mut PgConnection,
    (org, agent): (OrgId, Uuid),
    (unit, window): (&str, OffsetDateTime),
    most: u32,
) -> Result<bool> {
    let counted = sqlx::query_scalar!(
        r#"insert into guardrail_rates as r (org_id, agent_id, unit, window_start, starts) values ($1, $2, $3, $4, 1)
           on conflict on constraint guardrail_rates_pkey do update set
             starts = case when r.window_start < excluded.window_start then 1 else r.starts + 1 end,
             window_start = greatest(r.window_start, excluded.window_start)
           where r.window_start < excluded.window_start or r.starts < $5
           returning true as "counted!""#,
        org.0,
        agent,
        unit,
        window,
        i64::from(most),
    )
    .fetch_optional(tx)
    .await?;
    Ok(counted.is_some())
}

/// What a list is narrowed to.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) agent: Option<String>,
    pub(super) run: Option<Uuid>,
    pub(super) kind: Option<String>,
    pub(super) action: Option<String>,
    pub(super) from: Option<OffsetDateTime>,
    pub(super) to: Option<OffsetDateTime>,
}

pub(super) async fn list(
    db: &PgPool,
    org: OrgId,
    filter: &Filter,
    (after, limit): (Option<Cursor>, i64),
) -> Result<Vec<ViolationView>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query!(
        r#"select v.id as "id: ViolationId", a.name as agent, v.version, v.run_id, v.kind, v.rule, v.place, v.action,
             v.message, v.detail, v.created_at
           from guardrail_violations v join agents a on a.org_id = v.org_id and a.id = v.agent_id
           where v.org_id = $1
             and ($2::text is null or a.name = $2)
             and ($3::uuid is null or v.run_id = $3)
             and ($4::text is null or v.kind = $4)
             and ($5::text is null or v.action = $5)
             and ($6::timestamptz is null or v.created_at >= $6)
             and ($7::timestamptz is null or v.created_at < $7)
             and ($8::timestamptz is null or (v.created_at, v.id) < ($8, $9::uuid))
           order by v.created_at desc, v.id desc limit $10"#,
        org.0,
        filter.agent,
        filter.run,
        filter.kind,
        filter.action,
        filter.from,
        filter.to,
        at,
        id,
        limit,
    )
    .fetch_all(db)
    .await?;
    let views = rows.into_iter().map(|row| ViolationView {
        id: row.id,
        agent: row.agent,
        version: row.version,
        run: row.run_id.map(|run| format!("run_{}", run.simple())),
        kind: row.kind,
        rule: row.rule,
        at: row.place,
        action: row.action,
        message: row.message,
        detail: row.detail,
        created_at: row.created_at,
    });
    Ok(views.collect())
}
