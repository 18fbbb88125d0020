//! Intents for tests that ask a capability without a run. Only an acknowledged commit gives one, so this commits.

use bulkhead::kit::commit::{Apply, Shape, Weigh, Writer};
use bulkhead::kit::{Result, Tasks};
use bulkhead::sandbox::{Intent, Ticket};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// A change that writes nothing.
struct Nothing;

/// One of its changes.
struct One;

impl Weigh for One {
    fn bytes(&self) -> usize {
        0
    }
}

impl Apply for Nothing {
    type Change = One;

    async fn apply<'a>(
        &'a self,
        _tx: &'a mut PgConnection,
        batch: &'a [One],
    ) -> Result<Vec<Result<()>>> {
        Ok(batch.iter().map(|_| Ok(())).collect())
    }

    fn settled(&self, _change: &One, _outcome: &Result<()>) {}
}

/// The first ticket of a run.
pub fn ticket(kind: &'static str, request: Value, started_at: OffsetDateTime) -> Ticket {
    Ticket {
        seq: 1,
        kind,
        request,
        fuel_before: 0,
        started_at,
        left: None,
    }
}

/// Permission to do what `ticket` asks.
pub async fn granted(db: &PgPool, ticket: Ticket) -> Intent {
    let shape = Shape {
        lanes: 1,
        batch: 1,
        queue: 1,
        bytes: 1,
    };
    let writer = Writer::start(Nothing, db, &Tasks::current(), shape);
    let durable = writer.push(0, One).await.expect("the writer lives");
    let proof = durable.wait().await.expect("nothing can be committed");
    Intent::new(ticket, "test-1".to_owned(), proof)
}

/// Permission to generate.
pub async fn to_generate(db: &PgPool) -> Intent {
    let ticket = ticket("model.generate", Value::Null, OffsetDateTime::UNIX_EPOCH);
    granted(db, ticket).await
}
