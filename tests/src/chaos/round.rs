//! One round: the stage, the load, the fault, the settling, the checks. What comes out says whether anything was lost,
//! done twice or left behind, and how to repeat the round.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::faults::Fault;
use super::plan::Plan;
use super::readers::{Seen, attend};
use super::script::Script;
use super::stage::Stage;
use super::truth;

/// Every run has ended so long after the fault.
const SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// A node that is asked to go is gone after this.
const LEAVES_WITHIN: Duration = Duration::from_secs(15);

/// What a round came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub fault: &'static str,
    pub seed: u64,
    pub runs: usize,
    pub connections: usize,
    /// From a host's death to the next event of each run it had.
    pub recovery: Vec<Duration>,
    /// Events that a client saw and the table has not.
    pub lost: usize,
    /// Requests of the provider beyond those that were announced.
    pub repeated: usize,
    /// Generations that were made again because their host died.
    pub again: usize,
    /// Tokens that the provider counted and was heard, and what is billed for them; those of calls nobody heard the end
    /// of, and the estimates that are billed for these.
    pub tokens: [u64; 4],
    pub violations: Vec<String>,
    /// Why the round was not played: this machine lacks something.
    pub skipped: Option<&'static str>,
    pub story: Vec<String>,
    pub command: String,
    pub took: Duration,
}

/// Plays one round.
pub async fn play(plan: Plan, fault: &Fault) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome {
        fault: fault.name,
        seed: plan.seed,
        command: plan.command(fault.name),
        ..Outcome::default()
    };
    let chance = Chance::new(plan.seed);
    match Box::pin(Stage::set(plan, fault, &chance)).await {
        Ok(Some(stage)) => perform(Arc::new(stage), fault, &chance, &mut outcome).await,
        Ok(None) => outcome.skipped = Some("it takes the right to mount a file system"),
        Err(error) => outcome
            .violations
            .push(format!("the stage cannot be set: {error}")),
    }
    outcome.took = began.elapsed();
    outcome
}

async fn perform(stage: Arc<Stage>, fault: &Fault, chance: &Chance, outcome: &mut Outcome) {
    let terms = stage.tasks.spawn(Arc::clone(&stage).watch_terms());
    let scripts = scripts(&stage, fault, chance);
    outcome.runs = scripts.len();
    stage.say(format!("{} runs begin", scripts.len()));
    let clients: Vec<_> = scripts
        .iter()
        .cloned()
        .map(|script| {
            let number = script.number;
            let mut chance = chance.branch("client", number);
            let (stage, manners) = (Arc::clone(&stage), fault.manners);
            let pause = chance.millis(0, fault.over_ms);
            let tasks = stage.tasks.clone();
            tasks.spawn(async move {
                tokio::time::sleep(pause).await;
                attend(stage, script, manners, chance).await
            })
        })
        .collect();
    let acted = (fault.act)(Arc::clone(&stage), chance.branch("fault", 0)).await;
    if let Err(error) = acted {
        stage.broken(format!("the fault cannot happen: {error}"));
    }
    stage.say("the fault is over".to_owned());
    let deadline = tokio::time::Instant::now() + SETTLES_WITHIN;
    let mut seen: Vec<Seen> = Vec::new();
    for (client, script) in clients.into_iter().zip(&scripts) {
        let stop = client.abort_handle();
        match tokio::time::timeout_at(deadline, client).await {
            Ok(Ok(Ok(saw))) => seen.push(saw),
            Ok(Ok(Err(error))) => stage.broken(error),
            Ok(Err(panic)) => stage.broken(format!("a client ended badly: {panic}")),
            Err(_) => {
                stop.abort();
                let number = script.number;
                stage.broken(format!("I1: run {number} has not ended after 30 s"));
            }
        }
    }
    outcome.connections = seen.iter().map(|seen| seen.connections).sum();
    settle(&stage, deadline).await;
    stage.say("all runs have ended".to_owned());
    if let Err(error) = truth::check(&stage, fault, (&scripts, &seen), outcome).await {
        stage.broken(format!("the checks cannot be made: {error}"));
    }
    drain(&stage, fault).await;
    terms.abort();
    if let Ok(server) = stage.cluster.server()
        && let Err(error) = server.stop().await
    {
        stage.broken(format!("PostgreSQL does not stop: {error}"));
    }
    outcome.violations = stage.violations();
    outcome.story = stage.story();
}

fn scripts(stage: &Stage, fault: &Fault, chance: &Chance) -> Vec<Script> {
    let mut chance = chance.branch("scripts", 0);
    let (least, most) = fault.runs;
    let count = chance.between(least, if stage.plan.long { most * 3 } else { most });
    (0..usize::try_from(count).unwrap_or_default())
        .map(|number| {
            let length = chance.between(fault.length / 3, fault.length);
            Script::draw(number, length, &mut chance)
        })
        .collect()
}

/// Runs that no client knows of have ended as well.
async fn settle(stage: &Stage, deadline: tokio::time::Instant) {
    loop {
        match stage.open().await {
            Ok(0) => return,
            Ok(open) if tokio::time::Instant::now() > deadline => {
                return stage.broken(format!("I1: {open} runs are open after 30 s"));
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => return stage.broken(error),
        }
    }
}

/// The hosts go as they came: nothing left, nothing complained about.
async fn drain(stage: &Stage, fault: &Fault) {
    truth::footprints(stage).await;
    let left = stage.nodes.iter().map(|node| node.leave(LEAVES_WITHIN));
    for ended in futures_util::future::join_all(left).await {
        if let Err(error) = ended {
            stage.broken(format!("I11: {error}"));
        }
    }
    truth::logs(stage, fault);
}
