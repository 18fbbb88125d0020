//! The statements of tiers and plans.

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};

use super::{Cap, Dimension, Plan};
use crate::kit::{OrgId, Result};

/// What an organization has: its own tier or `default`, and its spend cap. `None` where the tier is not known.
pub(in crate::billing) async fn plan_of(
    db: impl PgExecutor<'_>,
    org: OrgId,
    default: &str,
) -> Result<Option<Plan>> {
    let rows = sqlx::query!(
        r#"with of as (
             select coalesce((select tier from usage_plans where org_id = $1), $2) as tier,
               (select spend_cap_picos from usage_plans where org_id = $1) as spend)
           select t.name, of.spend, c.dimension as "dimension?", c.cap as "cap?", c.hard as "hard?",
             c.warn_percent as "warn_percent?"
           from of join usage_tiers t on t.name = of.tier left join usage_tier_caps c on c.tier = t.name"#,
        org.0,
        default,
    )
    .fetch_all(db)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let (tier, spend) = (first.name.clone(), first.spend);
    let mut caps: Vec<Cap> = rows
        .into_iter()
        .filter_map(|row| {
            Some(Cap {
                dimension: Dimension::parse(&row.dimension?)?,
                cap: row.cap?.into(),
                hard: row.hard?,
                warn_percent: row.warn_percent?,
            })
        })
        .chain(spend.map(|picos| Cap {
            dimension: Dimension::Spend,
            cap: picos.into(),
            hard: true,
            warn_percent: 80,
        }))
        .collect();
    caps.sort_by_key(|cap| cap.dimension);
    Ok(Some(Plan { tier, caps }))
}

pub(super) async fn all(db: impl PgExecutor<'_>) -> Result<Vec<(String, Option<Cap>)>> {
    let rows = sqlx::query!(
        r#"select t.name, c.dimension as "dimension?", c.cap as "cap?", c.hard as "hard?",
             c.warn_percent as "warn_percent?"
           from usage_tiers t left join usage_tier_caps c on c.tier = t.name order by t.name, c.dimension"#
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let dimension = row.dimension.as_deref().and_then(Dimension::parse);
        let cap = dimension.zip(row.cap).map(|(dimension, cap)| Cap {
            dimension,
            cap: cap.into(),
            hard: row.hard.unwrap_or(true),
            warn_percent: row.warn_percent.unwrap_or(80),
        });
        (row.name, cap)
    });
    Ok(rows.collect())
}

/// Replaces a tier's caps.
pub(super) async fn put(tx: &mut PgConnection, name: &str, caps: &[Cap]) -> Result<()> {
    sqlx::query!(
        "insert into usage_tiers (name) values ($1) on conflict do nothing",
        name
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from usage_tier_caps where tier = $1", name)
        .execute(&mut *tx)
        .await?;
    let dimensions: Vec<String> = caps
        .iter()
        .map(|cap| cap.dimension.name().to_owned())
        .collect();
    let values: Vec<i64> = caps
        .iter()
        .map(|cap| i64::try_from(cap.cap).unwrap_or(i64::MAX))
        .collect();
    let hard: Vec<bool> = caps.iter().map(|cap| cap.hard).collect();
    let warn: Vec<i32> = caps.iter().map(|cap| cap.warn_percent).collect();
    sqlx::query!(
        "insert into usage_tier_caps (tier, dimension, cap, hard, warn_percent)
         select $1, * from unnest($2::text[], $3::bigint[], $4::boolean[], $5::integer[])",
        name,
        &dimensions,
        &values,
        &hard,
        &warn,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives an organization a tier. `false` where there is no such tier.
pub(super) async fn give_tier(
    tx: &mut PgConnection,
    org: OrgId,
    (tier, source, now): (&str, &str, OffsetDateTime),
) -> Result<bool> {
    let given = sqlx::query!(
        "insert into usage_plans (org_id, tier, source, updated_at)
         select $1, name, $3, $4 from usage_tiers where name = $2
         on conflict on constraint usage_plans_pkey do update
         set tier = excluded.tier, source = excluded.source, updated_at = excluded.updated_at",
        org.0,
        tier,
        source,
        now,
    )
    .execute(tx)
    .await?;
    Ok(given.rows_affected() > 0)
}

/// From here on it has the tier of those who were given none.
pub(super) async fn take_tier(
    tx: &mut PgConnection,
    org: OrgId,
    (source, now): (&str, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "update usage_plans set tier = null, source = $2, updated_at = $3 where org_id = $1",
        org.0,
        source,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn set_spend_cap(
    tx: &mut PgConnection,
    org: OrgId,
    (picos, now): (Option<i64>, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "insert into usage_plans (org_id, spend_cap_picos, source, updated_at) values ($1, $2, 'operator', $3)
         on conflict on constraint usage_plans_pkey do update
         set spend_cap_picos = excluded.spend_cap_picos, updated_at = excluded.updated_at",
        org.0,
        picos,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What was counted while other caps stood is counted anew: of one organization, or of all.
pub(super) async fn count_anew(
    db: impl PgExecutor<'_>,
    org: Option<OrgId>,
    period: Date,
) -> Result<()> {
    sqlx::query!(
        "update usage_periods set runs_taken = null where period >= $2 and ($1::uuid is null or org_id = $1)",
        org.map(|org| org.0),
        period,
    )
    .execute(db)
    .await?;
    Ok(())
}
