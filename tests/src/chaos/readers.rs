//! The clients of a round: they start runs, follow them, go away in the middle and come back on whichever node answers.
//! Whatever happens to the hosts, all they may see is that a connection ends.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::json;
use uuid::Uuid;

use super::chance::Chance;
use super::cluster::patiently;
use super::script::Script;
use super::stage::Stage;
use crate::client::{Event, Events};

/// How long a client waits for an answer before it asks another node.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How often, of a hundred times, it goes away after a few events.
    pub leaves: u64,
    /// It goes away after each event.
    pub always: bool,
    /// How long it does not read before each event.
    pub dawdles: Duration,
}

impl Manners {
    /// It goes away now and then.
    pub const PLAIN: Self = Self {
        leaves: 50,
        always: false,
        dawdles: Duration::ZERO,
    };
}

/// What a client saw of its run, over all its connections.
#[derive(Debug)]
pub struct Seen {
    pub run: Uuid,
    pub events: Vec<Event>,
    pub connections: usize,
}

/// Starts a run of the script on any node and follows it to its end.
pub async fn attend(
    stage: Arc<Stage>,
    script: Script,
    manners: Manners,
    mut chance: Chance,
) -> Result<Seen, String> {
    let org = script.number % stage.orgs.len();
    let run = submit(&stage, org, &script, &mut chance).await?;
    follow(&stage, (org, run), manners, &mut chance).await
}

/// A run that is known to have been accepted. Where an answer is lost the table tells whether there is one.
pub async fn submit(
    stage: &Stage,
    org: usize,
    script: &Script,
    chance: &mut Chance,
) -> Result<Uuid, String> {
    let tag = format!("{}", script.number);
    let body = json!({ "input": script.instructions, "metadata": { "chaos": tag } });
    loop {
        let client = stage.orgs[org].at(&stage.any_url(chance).await);
        let request = client.request(Method::POST, "/agents/journey/runs");
        let answer = request.timeout(ANSWERS_WITHIN).json(&body).send().await;
        match answer {
            Ok(answer) if answer.status() == 202 => {
                if let Ok(run) = answer.json::<serde_json::Value>().await {
                    return id(run["id"].as_str().unwrap_or_default());
                }
            }
            Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                let status = answer.status();
                let text = answer.text().await.unwrap_or_default();
                return Err(format!("run {tag} was refused: {status} {text}"));
            }
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let found: Option<Uuid> = patiently(|| {
            sqlx::query_scalar("select id from runs where metadata ->> 'chaos' = $1 order by id")
                .bind(&tag)
                .fetch_optional(&stage.db)
        })
        .await?;
        if let Some(run) = found {
            return Ok(run);
        }
    }
}

fn id(text: &str) -> Result<Uuid, String> {
    Uuid::parse_str(text.trim_start_matches("run_")).map_err(|e| format!("{text}: {e}"))
}

/// Reads a run's events until the last, over as many connections as it takes.
pub async fn follow(
    stage: &Stage,
    (org, run): (usize, Uuid),
    manners: Manners,
    chance: &mut Chance,
) -> Result<Seen, String> {
    let mut seen = Seen {
        run,
        events: Vec::new(),
        connections: 0,
    };
    let path = format!("/agents/journey/runs/run_{}/events", run.simple());
    loop {
        let client = stage.orgs[org].at(&stage.any_url(chance).await);
        let last = seen.events.last().map_or(0, |event| event.id);
        let request = client
            .request(Method::GET, &path)
            .header(header::ACCEPT, "text/event-stream")
            .header("last-event-id", last);
        seen.connections += 1;
        let answer = tokio::time::timeout(ANSWERS_WITHIN, request.send()).await;
        let opened = match answer {
            Ok(Ok(response)) => Events::try_of(response).await,
            // Nobody is there: another node is asked.
            Ok(Err(_)) | Err(_) => Err((StatusCode::BAD_GATEWAY, String::new())),
        };
        match opened {
            Ok(events) if events.is_empty() => {
                return Err(format!("run {run} is said to have ended after {last}"));
            }
            Ok(events) => read(events, &mut seen, manners, chance).await?,
            Err((status, text)) if status.is_client_error() && status != 429 => {
                return Err(format!(
                    "run {run} cannot be followed after {last}: {status} {text}"
                ));
            }
            Err(_) => {}
        }
        if seen.events.last().is_some_and(|event| event.kind == "done") {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One connection, until it is cut, left or done.
async fn read(
    mut events: Events,
    seen: &mut Seen,
    manners: Manners,
    chance: &mut Chance,
) -> Result<(), String> {
    let mut left = match chance.often(manners.leaves) {
        _ if manners.always => 1,
        true => chance.between(1, 6),
        false => u64::MAX,
    };
    while left > 0 {
        tokio::time::sleep(manners.dawdles).await;
        // A node that is frozen says nothing: ask another.
        let next = tokio::time::timeout(ANSWERS_WITHIN, events.try_next()).await;
        let Ok(Ok(Some(event))) = next else {
            return Ok(());
        };
        let last = seen.events.last().map_or(0, |event| event.id);
        if event.id != last + 1 {
            return Err(format!(
                "I2: run {} showed event {} after {last}",
                seen.run, event.id
            ));
        }
        let done = event.kind == "done";
        seen.events.push(event);
        if done {
            return Ok(());
        }
        left -= 1;
    }
    Ok(())
}
