//! What one run used and cost: its row and the rows of its generations, made together when it ends, so that they are
//! the same tokens.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::store;
use crate::billing::Tokens;
use crate::billing::meter::{Entry, Of};
use crate::billing::prices::{Money, Prices};
use crate::kit::{OrgId, Result};

/// What one run used. Ids are bare: billing stands below the rooms that name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    pub org_id: OrgId,
    pub run_id: Uuid,
    pub agent_id: Uuid,
    pub version: i32,
    pub started_at: OffsetDateTime,
    /// When it ended: what decides the month it counts in.
    pub at: OffsetDateTime,
    /// completed, failed, cancelled or blocked.
    pub state: &'static str,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cached_tokens: i64,
    pub reasoning_tokens: i64,
    pub estimated: bool,
    pub fuel: i64,
    pub wall_ms: i64,
    pub memory_peak_bytes: i64,
    pub host_calls: i64,
    pub tool_calls: i64,
    /// What the run sent and received on its own: nothing yet can.
    pub egress_bytes: i64,
    pub knowledge_queries: i64,
    pub cost_picos: i64,
    /// A part of it has no price, and is not in the cost.
    pub unpriced: bool,
}

/// What one generation used, or the lost attempts at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    pub seq: i32,
    pub lost: bool,
    pub connection: String,
    pub model: String,
    pub tokens: Tokens,
    /// `None` where the model has no price.
    pub cost_picos: Option<i64>,
}

/// All rows of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    pub run: UsageRecord,
    pub steps: Vec<StepRecord>,
}

impl Bill {
    /// `run` says what was used; its cost, and the parts of its tokens, are put in here.
    pub fn new(prices: &Prices, mut run: UsageRecord, mut entries: Vec<Entry>) -> Self {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut known = Tokens::default();
        entries.iter().for_each(|entry| known.add(entry.tokens));
        run.input_tokens = run.input_tokens.max(number(known.input));
        run.output_tokens = run.output_tokens.max(number(known.output));
        run.cached_tokens = number(known.cached);
        run.reasoning_tokens = number(known.reasoning);
        run.estimated |= known.estimated;
        let left = |all: i64, known: u64| u64::try_from(all).unwrap_or(0).saturating_sub(known);
        let rest = Tokens {
            input: left(run.input_tokens, known.input),
            output: left(run.output_tokens, known.output),
            estimated: true,
            ..Tokens::default()
        };
        // What an earlier life is known to have used, and no place in the journal says.
        if rest.input > 0 || rest.output > 0 {
            entries.push(Entry {
                of: Of::default(),
                lost: true,
                tokens: rest,
            });
        }
        let mut cost = prices.of_run(run.fuel);
        run.unpriced = prices.is_empty();
        let steps = entries.into_iter().map(|entry| {
            let price = prices.of_entry(&entry);
            cost = cost.plus(price.unwrap_or_default());
            run.unpriced |= price.is_none();
            StepRecord {
                seq: entry.of.seq,
                lost: entry.lost,
                connection: entry.of.connection,
                model: entry.of.model,
                tokens: entry.tokens,
                cost_picos: price.map(Money::picos),
            }
        });
        let steps = steps.collect();
        run.cost_picos = cost.picos();
        Self { run, steps }
    }
}

/// A run's row.
pub async fn find(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run_id: Uuid,
) -> Result<Option<UsageRecord>> {
    store::find(db, org, run_id).await
}
