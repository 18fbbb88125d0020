//! The statements a resumed run is read back with.

use std::collections::BTreeMap;

use sqlx::PgExecutor;

use crate::billing::Tokens;
use crate::kit::{OrgId, Result};
use crate::runs::RunId;
use crate::runs::journal::{Begin, Recorded};
use crate::runs::log::step::digest;

/// The answers of a run, and the fuel it had used when it asked for the last of them.
pub(super) async fn steps_of(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run: RunId,
) -> Result<(BTreeMap<i32, Recorded>, i64)> {
    let rows = sqlx::query!(
        r#"select seq, kind, request_digest, response::text as "response!", response_digest, ended_at as "ended_at!",
             fuel_before
           from run_steps where org_id = $1 and run_id = $2 and response is not null and ended_at is not null
           order by seq"#,
        org.0,
        run.0,
    )
    .fetch_all(db)
    .await?;
    let fuel = rows.last().map_or(0, |row| row.fuel_before);
    let steps = rows.into_iter().map(|row| {
        // Steps of before there was a digest have none.
        let intact = match row.response_digest {
            Some(written) => written == digest(&row.response),
            None => true,
        };
        let step = Recorded {
            kind: row.kind,
            request_digest: row.request_digest,
            response: row.response,
            ended_at: row.ended_at,
            intact,
        };
        (row.seq, step)
    });
    Ok((steps.collect(), fuel))
}

pub(super) async fn effects_of(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run: RunId,
) -> Result<BTreeMap<i32, Begin>> {
    let rows = sqlx::query!(
        "select seq, kind, request_digest, started_at, repeat, attempt, lost_input_tokens, lost_output_tokens
         from run_intents where org_id = $1 and run_id = $2",
        org.0,
        run.0,
    )
    .fetch_all(db)
    .await?;
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let effects = rows.into_iter().map(|row| {
        let (input, output) = (
            number(row.lost_input_tokens),
            number(row.lost_output_tokens),
        );
        let begin = Begin {
            kind: row.kind,
            request_digest: row.request_digest,
            started_at: row.started_at,
            attempt: row.attempt,
            lost: Tokens {
                input,
                output,
                estimated: input + output > 0,
                ..Tokens::default()
            },
            mutates: matches!(row.repeat.as_str(), "keyed" | "unsafe"),
        };
        (row.seq, begin)
    });
    Ok(effects.collect())
}
