//! What replays read besides the journal and the log: what a run was begun with, what its steps asked, and which runs are the
//! newest of a version.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::PgPool;

use crate::agents::AgentId;
use crate::kit::{Error, OrgId, Result};
use crate::limits;
use crate::runs::RunId;
use crate::runs::journal::Past;
use crate::runs::log::step::request_digest;
use crate::runs::start::Message;

/// What a run was begun with.
pub(super) struct Begun {
    pub(super) seed: [u8; 32],
    pub(super) messages: Vec<Message>,
    pub(super) limits: Option<limits::Digest>,
    pub(super) term: i32,
}

#[derive(Deserialize)]
struct Input {
    messages: Vec<Message>,
}

/// The newest runs of an agent among which those of a version are looked for.
const LOOKED_AT: i64 = 10_000;

/// The newest runs of a version that have ended, the newest first.
pub(super) async fn newest_ended(
    db: &PgPool,
    (org, agent, version): (OrgId, AgentId, i32),
    last: i64,
) -> Result<Vec<RunId>> {
    let runs = sqlx::query_scalar!(
        r#"select id as "id!: RunId" from (
             select id, version, created_at, ended_at from runs where org_id = $1 and agent_id = $2
             order by created_at desc, id desc limit $5) newest
           where version = $3 and ended_at is not null order by created_at desc, id desc limit $4"#,
        org.0,
        agent.0,
        version,
        last,
        LOOKED_AT,
    );
    Ok(runs.fetch_all(db).await?)
}

pub(super) async fn begun_as(db: &PgPool, org: OrgId, run: RunId) -> Result<Begun> {
    let row = sqlx::query!(
        r#"select seed, input::text as "input!", limits_digest, term from runs where org_id = $1 and id = $2"#,
        org.0,
        run.0,
    )
    .fetch_optional(db)
    .await?
    .ok_or_else(|| Error::not_found("run"))?;
    let broken = |_| Error::internal("a run's seed or set of limits has another length");
    let input: Input = serde_json::from_str(&row.input)?;
    Ok(Begun {
        seed: row.seed.try_into().map_err(broken)?,
        messages: input.messages,
        limits: row
            .limits_digest
            .map(TryInto::try_into)
            .transpose()
            .map_err(broken)?,
        term: row.term,
    })
}

/// What each step asked, as text. A step whose request is not the one it has the digest of was altered.
pub(super) async fn with_requests(
    db: &PgPool,
    (org, run): (OrgId, RunId),
    mut past: Past,
) -> Result<(BTreeMap<i32, String>, Past)> {
    let rows = sqlx::query!(
        r#"select seq, request::text as "request!" from run_steps where org_id = $1 and run_id = $2"#,
        org.0,
        run.0,
    )
    .fetch_all(db)
    .await?;
    let mut requests = BTreeMap::new();
    for row in rows {
        if let Some(step) = past.steps.get_mut(&row.seq) {
            let asked = serde_json::from_str(&row.request)?;
            step.intact &= step.request_digest == request_digest(&step.kind, &asked);
        }
        requests.insert(row.seq, row.request);
    }
    Ok((requests, past))
}
