//! What is shown of usage: a month of an organization, grouped, with its caps; and the same as CSV.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::sums::{Sums, store};
use crate::billing::period::Period;
use crate::billing::tiers::Dimension;
use crate::billing::{Billing, caps};
use crate::identity::Caller;
use crate::kit::Result;
use crate::kit::http::csv::Csv;

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = UsageGroup)]
pub enum Group {
    #[default]
    Day,
    Agent,
    Version,
    Model,
}

/// One line of usage. What it is not grouped by is absent; so is what a generation has not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageLine)]
pub struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Runs that ended; of them failed, cancelled and blocked ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generations: Option<i64>,
    /// How many of them a provider gave no count for.
    pub estimated: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    /// Of the input, from the provider's cache; of the output, thought and not said.
    pub cached_tokens: i64,
    pub reasoning_tokens: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge_queries: Option<i64>,
    /// What it cost, exactly; null where nothing of it has a price.
    pub cost: Option<String>,
    /// How many of them have a part without a price, which is not in `cost`.
    pub unpriced: i64,
}

/// A cap of the organization, and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CapShown {
    pub dimension: Dimension,
    /// A number, or an amount of money as text.
    #[schema(value_type = Object)]
    pub cap: serde_json::Value,
    #[schema(value_type = Object)]
    pub used: serde_json::Value,
    /// What was used beyond it.
    #[schema(value_type = Object)]
    pub overage: serde_json::Value,
    /// A hard cap refuses; a soft one is told.
    pub hard: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    pub warned_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub reached_at: Option<OffsetDateTime>,
}

/// A month of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageReport)]
pub struct Report {
    /// Such as `2026-11`.
    pub period: String,
    /// From this instant on, up to but not including the other.
    #[serde(with = "time::serde::rfc3339")]
    pub period_start: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub period_end: OffsetDateTime,
    pub currency: String,
    pub tier: String,
    pub caps: Vec<CapShown>,
    pub total: Line,
    pub group: Group,
    pub data: Vec<Line>,
}

impl Billing {
    /// A month of the caller's organization; the current one where none is named.
    pub async fn report(
        &self,
        caller: &Caller,
        period: Option<&str>,
        group: Group,
    ) -> Result<Report> {
        let period = match period {
            Some(text) => Period::parse(text)?,
            None => Period::of(self.inner.clock.now()),
        };
        let span = (period.begins(), period.ends());
        let plan = self.plan(caller.org).await?;
        let mut tx = self.inner.db.begin().await?;
        caps::store::one_snapshot(&mut tx).await?;
        let total = store::of_runs(&mut *tx, caller.org, span, (false, false, false)).await?;
        let total = total
            .into_iter()
            .next()
            .map_or(Sums::default(), |(_, sums)| sums);
        let data = match group {
            Group::Model => store::of_models(&mut *tx, caller.org, span)
                .await?
                .into_iter()
                .map(of_model)
                .collect(),
            group => {
                let by = (
                    group == Group::Day,
                    matches!(group, Group::Agent | Group::Version),
                    group == Group::Version,
                );
                let lines = store::of_runs(&mut *tx, caller.org, span, by).await?;
                lines.into_iter().map(of_runs).collect()
            }
        };
        let caps = self
            .caps_shown(&mut tx, (caller.org, period), (&plan, &total))
            .await?;
        tx.commit().await?;
        Ok(Report {
            period: period.to_string(),
            period_start: span.0,
            period_end: span.1,
            currency: self.inner.config.currency.clone(),
            tier: plan.tier.clone(),
            caps,
            total: of_runs((store::RunKey::default(), total)),
            group,
            data,
        })
    }
}

impl Report {
    /// The lines as CSV. What a line does not have is empty, and so is a cost that nobody knows.
    pub fn csv(&self) -> Result<Response> {
        let by: &[&str] = match self.group {
            Group::Day => &["day"],
            Group::Agent => &["agent"],
            Group::Version => &["agent", "version"],
            Group::Model => &["connection", "model"],
        };
        let of_runs: &[&str] = &[
            "runs",
            "failed",
            "cancelled",
            "blocked",
            "fuel",
            "wall_ms",
            "memory_peak_bytes",
            "host_calls",
            "tool_calls",
            "egress_bytes",
            "knowledge_queries",
        ];
        let counted = if self.group == Group::Model {
            &["generations"][..]
        } else {
            of_runs
        };
        let rest = [
            "estimated",
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "cost",
            "unpriced",
        ];
        let columns: Vec<&str> = by.iter().chain(counted).chain(&rest).copied().collect();
        let with_currency: Vec<&str> = columns.iter().copied().chain(["currency"]).collect();
        let mut csv = Csv::default();
        csv.row(with_currency)?;
        for line in &self.data {
            let line = serde_json::to_value(line).unwrap_or_default();
            let cell = |column: &&str| match &line[*column] {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => String::new(),
                other => other.to_string(),
            };
            csv.row(columns.iter().map(cell).chain([self.currency.clone()]))?;
        }
        csv.download(&format!("usage-{}.csv", self.period))
    }
}

fn small(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// What both kinds of lines say.
fn line(sums: &Sums) -> Line {
    // Where each of them lacks a price and nothing cost anything, there is no cost to tell.
    let none = sums.unpriced == sums.count && sums.cost.0 == 0 && sums.count > 0;
    Line {
        estimated: small(sums.estimated),
        input_tokens: small(sums.input_tokens),
        output_tokens: small(sums.output_tokens),
        cached_tokens: small(sums.cached_tokens),
        reasoning_tokens: small(sums.reasoning_tokens),
        cost: (!none).then(|| sums.cost.to_string()),
        unpriced: small(sums.unpriced),
        ..Line::default()
    }
}

fn of_runs((key, sums): (store::RunKey, Sums)) -> Line {
    let some = |n: i128| Some(small(n));
    Line {
        day: key.day.map(|day| day.to_string()),
        agent: key.agent,
        version: key.version,
        runs: some(sums.count),
        failed: some(sums.failed),
        cancelled: some(sums.cancelled),
        blocked: some(sums.blocked),
        fuel: some(sums.fuel),
        wall_ms: some(sums.wall_ms),
        memory_peak_bytes: some(sums.memory_peak_bytes),
        host_calls: some(sums.host_calls),
        tool_calls: some(sums.tool_calls),
        egress_bytes: some(sums.egress_bytes),
        knowledge_queries: some(sums.knowledge_queries),
        ..line(&sums)
    }
}

fn of_model(((connection, model), sums): ((String, String), Sums)) -> Line {
    Line {
        connection: Some(connection),
        model: Some(model),
        generations: Some(small(sums.count)),
        ..line(&sums)
    }
}
