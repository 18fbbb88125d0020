//! What must hold after a round, whatever happened in it: what clients saw is what the table has, each run said what an
//! undisturbed one says, nothing was done twice or billed wrongly, nothing is left in the hosts, and their logs are calm.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::FromRow;
use time::OffsetDateTime;
use tokio::process::Command;
use uuid::Uuid;

use super::bills;
use super::cluster::patiently;
use super::faults::Fault;
use super::readers::Seen;
use super::round::Outcome;
use super::script::Script;
use super::stage::Stage;
use crate::host::program;
use crate::provider::last_user_message;

/// A file that a library opened, a connection that is just closing.
const DESCRIPTORS_MORE: usize = 24;
/// Threads for blocking work linger for ten seconds.
const THREADS_MORE: usize = 24;

#[derive(Debug, FromRow)]
struct Ended {
    id: Uuid,
    tag: String,
    state: String,
    stop_reason: Option<String>,
    output: Option<String>,
    fault: Option<String>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    estimated: Option<bool>,
    generations: i64,
    attempts: i64,
    term: i32,
}

const ENDED: &str = "select r.id, coalesce(r.metadata ->> 'chaos', '') as tag, r.state, r.stop_reason, r.output,
    r.fault ->> 'message' as fault, u.input_tokens, u.output_tokens, u.estimated, r.term,
    (select count(*) from run_steps s where s.run_id = r.id and s.kind = 'model.generate' and s.status = 'ok')
      as generations,
    coalesce((select sum(attempt) from run_intents i where i.run_id = r.id and i.kind = 'model.generate'), 0)::bigint
      as attempts
  from runs r left join usage_records u on u.run_id = r.id";

#[derive(Debug, FromRow)]
struct Said {
    run_id: Uuid,
    seq: i32,
    at: OffsetDateTime,
    kind: String,
    data: String,
}

/// Checks what the database and the provider have against what clients saw.
pub(super) async fn check(
    stage: &Stage,
    fault: &Fault,
    (scripts, seen): (&[Script], &[Seen]),
    outcome: &mut Outcome,
) -> Result<(), String> {
    let ended: Vec<Ended> = patiently(|| sqlx::query_as(ENDED).fetch_all(&stage.db)).await?;
    let said: Vec<Said> = patiently(|| {
        sqlx::query_as(
            "select run_id, seq, at, kind, data::text as data from run_events order by run_id, seq",
        )
        .fetch_all(&stage.db)
    })
    .await?;
    let mut table: HashMap<Uuid, Vec<Said>> = HashMap::new();
    for event in said {
        table.entry(event.run_id).or_default().push(event);
    }
    outcome.lost = streams(stage, seen, &table);
    for run in &ended {
        let script = run.tag.parse().ok().and_then(|n: usize| scripts.get(n));
        if let (Some(script), Some(events)) = (script, table.get(&run.id)) {
            told(stage, fault, (run, script), events);
            billed(stage, run, script);
        }
    }
    outcome.repeated = effects(stage, fault, &ended);
    bills::check(stage, scripts, outcome).await?;
    outcome.recovery = recovery(stage, &table);
    doctor(stage).await
}

/// I2: the bytes that clients were sent, over all their connections, are the table's. How many events were lost.
fn streams(stage: &Stage, seen: &[Seen], table: &HashMap<Uuid, Vec<Said>>) -> usize {
    let mut lost = 0;
    for Seen { run, events, .. } in seen {
        let rows = table.get(run).map_or(&[][..], Vec::as_slice);
        let same = |(event, row): (&crate::client::Event, &Said)| {
            event.id == row.seq && event.kind == row.kind && event.raw == row.data
        };
        let agree = events.iter().zip(rows).filter(|pair| same(*pair)).count();
        lost += events.len() - agree;
        if agree != events.len() || rows.len() != events.len() {
            stage.broken(format!(
                "I2: run {run} showed {} events, the table has {}, {agree} agree",
                events.len(),
                rows.len()
            ));
        }
        let numbered = rows.iter().zip(1..).all(|(row, seq)| row.seq == seq);
        if !numbered || rows.last().is_none_or(|row| row.kind != "done") {
            stage.broken(format!(
                "I2: the events of run {run} are not 1 to n and an end"
            ));
        }
    }
    lost
}

/// A run said what its script says, once.
fn told(stage: &Stage, fault: &Fault, (run, script): (&Ended, &Script), events: &[Said]) {
    let reason = run.stop_reason.as_deref().unwrap_or_default();
    let whole = reason == "end_turn" && run.state == "completed";
    if !whole && !fault.may_end.contains(&reason) {
        stage.broken(format!(
            "run {} ({}) ended as {reason} under term {}: {:?}",
            run.id, run.tag, run.term, run.fault
        ));
    }
    let mut standing: Vec<(i32, &str, Value)> = Vec::new();
    for event in events {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match data["from"].as_i64() {
            Some(from) if event.kind == "retract" => {
                standing.retain(|(seq, ..)| i64::from(*seq) < from);
            }
            _ => standing.push((event.seq, &event.kind, data)),
        }
    }
    let text: String = standing
        .iter()
        .filter(|(_, kind, _)| *kind == "text")
        .filter_map(|(_, _, data)| data["text"].as_str())
        .collect();
    if !script.fits(&text, whole) {
        stage.broken(format!(
            "run {} ({}) said {text:?} for {:?}",
            run.id, run.tag, script.instructions
        ));
    }
    if run.output.as_deref() != Some(&text) {
        stage.broken(format!(
            "run {} put out {:?}, but said {text:?}",
            run.id, run.output
        ));
    }
    let tools = |kind| standing.iter().filter(|(_, k, _)| *k == kind).count();
    let asked = script.instructions.matches("tool ").count();
    if whole && (tools("tool_call"), tools("tool_result")) != (asked, asked) {
        stage.broken(format!(
            "run {} used its tools more or less than once",
            run.id
        ));
    }
    if whole && run.generations != script.questions.len() as i64 {
        stage.broken(format!(
            "run {} recorded {} generations for {} questions",
            run.id,
            run.generations,
            script.questions.len()
        ));
    }
}

/// Tokens are the provider's own count, wherever somebody was left to hear it.
fn billed(stage: &Stage, run: &Ended, script: &Script) {
    if run.stop_reason.as_deref() != Some("end_turn") {
        return;
    }
    let number = |n: Option<i64>| u64::try_from(n.unwrap_or(-1)).unwrap_or(u64::MAX);
    let billed = (number(run.input_tokens), number(run.output_tokens));
    let counted = script.tokens();
    let once = run.attempts == script.questions.len() as i64;
    let estimated = run.estimated.unwrap_or(true);
    let sound = match (estimated, once) {
        (false, _) => billed == counted,
        (true, true) => false,
        (true, false) => billed.0 >= counted.0 && billed.1 >= counted.1,
    };
    if !sound {
        stage.broken(format!(
            "I5: run {} was billed {billed:?} (estimated: {estimated}), the provider counted {counted:?}",
            run.id
        ));
    }
}

/// Every request that the provider got is one that was announced before. How many are not.
fn effects(stage: &Stage, fault: &Fault, ended: &[Ended]) -> usize {
    let mut asked: HashMap<String, u64> = HashMap::new();
    for request in stage.provider.requests() {
        let question = last_user_message(&request.body);
        let tag = question.split(' ').nth(1).unwrap_or_default().to_owned();
        *asked.entry(tag).or_default() += 1;
    }
    let mut repeated = 0;
    for (tag, asked) in asked {
        let of = ended.iter().filter(|run| run.tag == tag);
        let (announced, recorded) = of.fold((0, 0), |(announced, recorded), run| {
            (announced + run.attempts, recorded + run.generations)
        });
        let most = u64::try_from(announced).unwrap_or_default() * fault.tries;
        if asked > most || asked < u64::try_from(recorded).unwrap_or_default() {
            stage.broken(format!(
                "run {tag} asked the provider {asked} times, announced {announced} and recorded {recorded}"
            ));
        }
        repeated += asked.saturating_sub(most);
    }
    usize::try_from(repeated).unwrap_or(usize::MAX)
}

/// From each death to the next event of each run that died with it.
fn recovery(stage: &Stage, table: &HashMap<Uuid, Vec<Said>>) -> Vec<Duration> {
    let mut times = Vec::new();
    for death in stage.deaths() {
        for run in death.runs {
            let events = table.get(&run).map_or(&[][..], Vec::as_slice);
            let next = events
                .iter()
                .map(|event| event.at)
                .find(|at| *at > death.at);
            times.extend(next.and_then(|at| Duration::try_from(at - death.at).ok()));
        }
    }
    times
}

/// What an operator would ask.
async fn doctor(stage: &Stage) -> Result<(), String> {
    let answer = Command::new(program())
        .args(["doctor", "--invariants", "--output", "json"])
        .env_clear()
        .env("DATABASE_URL", stage.cluster.url())
        .output()
        .await
        .map_err(|error| error.to_string())?;
    let told: Value = serde_json::from_slice(&answer.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&answer.stderr)))?;
    for violation in told["violations"].as_array().into_iter().flatten() {
        stage.broken(format!(
            "{}: {}",
            violation["invariant"], violation["detail"]
        ));
    }
    Ok(())
}

/// I11: what a host holds after the last run is what it held before the first.
pub(super) async fn footprints(stage: &Stage) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    for node in &stage.nodes {
        while let Some((before, after)) = node.footprints().await {
            let calm = after.descriptors <= before.descriptors + DESCRIPTORS_MORE
                && after.threads <= before.threads + THREADS_MORE;
            if calm {
                break;
            }
            if tokio::time::Instant::now() > deadline {
                stage.broken(format!(
                    "I11: node {} held {before:?} and holds {after:?}",
                    node.number
                ));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// I14: no panic, and no error but those that the fault is known to cause.
pub(super) fn logs(stage: &Stage, fault: &Fault) {
    for node in &stage.nodes {
        for line in node.log() {
            let message = line["message"].as_str().unwrap_or_default();
            let panicked = message.contains("panicked");
            let known = fault.may_log.iter().any(|text| message.contains(text));
            if panicked || (line["level"] == "ERROR" && !known) {
                stage.broken(format!("I14: node {} logged {line}", node.number));
            }
        }
    }
}
