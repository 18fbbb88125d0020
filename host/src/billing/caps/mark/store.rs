//! The statements of what was told of caps.

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};

use super::{Crossing, Kind};
use crate::billing::tiers::Dimension;
use crate::kit::{OrgId, Result};

/// What was told of a cap.
pub(super) struct Marked {
    pub(super) dimension: String,
    pub(super) kind: String,
    pub(super) at: OffsetDateTime,
}

/// Writes marks; those that were not there before come back. What is used beyond a cap is kept up to date.
pub(super) async fn insert(tx: &mut PgConnection, crossings: &[Crossing]) -> Result<Vec<Crossing>> {
    // The last of equal ones says the most.
    let mut last: Vec<&Crossing> = Vec::new();
    for crossing in crossings {
        let key = |c: &Crossing| (c.org, c.period, c.dimension, c.kind.name());
        last.retain(|before| key(before) != key(crossing));
        last.push(crossing);
    }
    if last.is_empty() {
        return Ok(Vec::new());
    }
    last.sort_by_key(|c| (c.org, c.period, c.dimension, c.kind.name()));
    macro_rules! column {
        ($row:pat => $value:expr) => {
            &last.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query!(
        r#"insert into usage_marks as m (org_id, period, dimension, kind, cap, used, overage, at)
           select a, b, c, d, e::numeric, f::numeric, greatest(f::numeric - e::numeric, 0), g
           from unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
             as t (a, b, c, d, e, f, g)
           on conflict on constraint usage_marks_pkey do update
             set overage = greatest(m.overage, excluded.used - m.cap)
           returning (xmax = 0) as "new!", org_id as "org: OrgId", period, dimension, kind"#,
        column!(c => c.org.0),
        column!(c => c.period),
        column!(c => c.dimension.name().to_owned()),
        column!(c => c.kind.name().to_owned()),
        column!(c => c.cap.to_string()),
        column!(c => c.used.to_string()),
        column!(c => c.at),
    )
    .fetch_all(tx)
    .await?;
    let new = |c: &&&Crossing| {
        rows.iter().any(|row| {
            let same = (row.org, row.period) == (c.org, c.period);
            row.new && same && row.dimension == c.dimension.name() && row.kind == c.kind.name()
        })
    };
    Ok(last.iter().filter(new).map(|c| (*c).clone()).collect())
}

/// What the sums of months say of their organizations' caps.
pub(super) async fn crossed(
    tx: &mut PgConnection,
    months: &[(OrgId, Date)],
    (default_tier, now): (&str, OffsetDateTime),
) -> Result<Vec<Crossing>> {
    let orgs: Vec<_> = months.iter().map(|(org, _)| org.0).collect();
    let periods: Vec<_> = months.iter().map(|(_, period)| *period).collect();
    let rows = sqlx::query!(
        r#"with p as (
             select p.*, coalesce(l.tier, $3) as tier, l.spend_cap_picos
             from usage_periods p join unnest($1::uuid[], $2::date[]) as k (org, period)
               on p.org_id = k.org and p.period = k.period
             left join usage_plans l on l.org_id = p.org_id),
           c as (
             select p.org_id, p.period, c.dimension, c.cap::numeric as cap, c.warn_percent,
               case c.dimension when 'runs' then greatest(p.runs, coalesce(p.runs_taken, 0))
                 when 'input_tokens' then p.input_tokens else p.output_tokens end as used
             from p join usage_tier_caps c on c.tier = p.tier
             union all
             select org_id, period, 'spend', spend_cap_picos, 80, cost_picos from p where spend_cap_picos is not null)
           select org_id as "org!: OrgId", period as "period!", dimension as "dimension!", cap::text as "cap!",
             used::text as "used!", (used >= cap) as "reached!"
           from c where used * 100 >= cap * warn_percent"#,
        &orgs,
        &periods,
        default_tier,
    )
    .fetch_all(tx)
    .await?;
    let mut crossings = Vec::new();
    for row in rows {
        let Some(dimension) = Dimension::parse(&row.dimension) else {
            continue;
        };
        let warning = Crossing {
            org: row.org,
            period: row.period,
            dimension,
            kind: Kind::Warning,
            cap: row.cap.parse().unwrap_or(i128::MAX),
            used: row.used.parse().unwrap_or(i128::MAX),
            at: now,
        };
        if row.reached {
            let kind = Kind::Reached;
            crossings.push(Crossing {
                kind,
                ..warning.clone()
            });
        }
        crossings.push(warning);
    }
    Ok(crossings)
}

pub(super) async fn of(db: impl PgExecutor<'_>, org: OrgId, period: Date) -> Result<Vec<Marked>> {
    let rows = sqlx::query_as!(
        Marked,
        "select dimension, kind, at from usage_marks where org_id = $1 and period = $2",
        org.0,
        period,
    );
    Ok(rows.fetch_all(db).await?)
}
