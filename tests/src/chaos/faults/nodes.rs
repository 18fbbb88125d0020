//! What happens to hosts: killed at any moment, killed inside the transaction that ends a run, stopped and continued,
//! replaced one after the other, unlike each other.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Fault;
use crate::chaos::chance::Chance;
use crate::chaos::cluster::patiently;
use crate::chaos::stage::Stage;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        nodes: 3,
        ..Fault::plain(
            "kill",
            "kill -9 of nodes at random times, each started again",
            |stage, chance| Box::pin(kill(stage, chance)),
        )
    },
    Fault {
        nodes: 1,
        length: 2,
        ..Fault::plain(
            "kill-at-end",
            "kill -9 between the steps of the transaction that ends runs",
            |stage, chance| Box::pin(kill_at_end(stage, chance)),
        )
    },
    Fault {
        nodes: 1,
        ..Fault::plain(
            "kill-in-answer",
            "kill -9 of a node that the provider is answering",
            |stage, chance| Box::pin(kill_in_answer(stage, chance)),
        )
    },
    Fault {
        ..Fault::plain(
            "freeze",
            "SIGSTOP of a node until others have its runs, then SIGCONT",
            |stage, chance| Box::pin(freeze(stage, chance)),
        )
    },
    Fault {
        over_ms: 2_500,
        // Nobody dies here, however busy the machine is.
        settings: &[("MODELS__TRIES", "1"), ("RUNS__DEAD_AFTER_MS", "15000")],
        ..Fault::plain(
            "roll",
            "a rolling restart by SIGTERM while runs begin",
            |stage, chance| Box::pin(roll(stage, chance)),
        )
    },
    Fault {
        each: &[
            &[
                ("RUNS__COMMIT_LANES", "1"),
                ("RUNS__COMMIT_BATCH", "4"),
                ("RUNS__SUSPEND_AFTER_MS", "100"),
                ("RUNS__NOTIFICATIONS", "false"),
            ],
            &[
                ("RUNS__CONCURRENT", "3"),
                ("RUNS__SUSPEND_AFTER_MS", "60000"),
                ("SANDBOX__THREADS", "1"),
                ("MODELS__TRIES", "1"),
            ],
        ],
        ..Fault::plain(
            "unlike",
            "kill -9 of nodes whose limits differ, as two versions' do",
            |stage, chance| Box::pin(kill(stage, chance)),
        )
    },
];

async fn kill(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    let times = if stage.plan.long { 4 } else { 2 };
    for _ in 0..times {
        tokio::time::sleep(chance.millis(50, 900)).await;
        let node = stage.victim(&mut chance).await?;
        stage.kill(node).await?;
        tokio::time::sleep(chance.millis(0, 600)).await;
        node.start_at_last().await?;
        stage.say(format!("node {} is back", node.number));
    }
    Ok(())
}

/// The steps of the transaction, each slowed down where it begins: the last event, the state, the usage.
const STEPS: [&str; 3] = [
    "create trigger slow before insert on run_events for each row when (new.kind = 'done') execute function slow()",
    "create trigger slow before update on runs for each row when (new.ended_at is not null) execute function slow()",
    "create trigger slow after insert on usage_records for each row execute function slow()",
];

async fn kill_at_end(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    let statement = async |text: &'static str| {
        patiently(|| sqlx::query(text).execute(&stage.db))
            .await
            .map(drop)
    };
    statement(
        "create or replace function slow() returns trigger language plpgsql as
         $$ begin perform pg_sleep(0.03); return new; end $$",
    )
    .await?;
    let times = if stage.plan.long { 9 } else { 3 };
    for number in 0..times {
        let step = (number + chance.index(STEPS.len())) % STEPS.len();
        statement(STEPS[step]).await?;
        let inside = inside(&stage).await?;
        stage.say(format!("step {step}: a backend is inside: {inside}"));
        stage.kill(&stage.nodes[0]).await?;
        for table in ["run_events", "runs", "usage_records"] {
            let drop = format!("drop trigger if exists slow on {table}");
            patiently(|| sqlx::query(sqlx::AssertSqlSafe(drop.clone())).execute(&stage.db)).await?;
        }
        stage.nodes[0].start_at_last().await?;
    }
    Ok(())
}

/// Waits until a run's end is being written, or there is none left to end.
async fn inside(stage: &Stage) -> Result<bool, String> {
    let began = stage.clock.now();
    loop {
        let sleeping: i64 = patiently(|| {
            sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event = 'PgSleep'",
            )
            .fetch_one(&stage.db)
        })
        .await?;
        if sleeping > 0 {
            return Ok(true);
        }
        let begun = stage.clock.now() - began > time::Duration::seconds(2);
        if begun && stage.open().await? == 0 {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn kill_in_answer(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    for _ in 0..if stage.plan.long { 6 } else { 2 } {
        tokio::time::sleep(chance.millis(0, 400)).await;
        let least = chance.index(3) + 1;
        let answering = answering(&stage, least).await?;
        stage.say(format!("the provider gives {answering} answers"));
        stage.kill(&stage.nodes[0]).await?;
        stage.nodes[0].start_at_last().await?;
    }
    Ok(())
}

/// Waits until so many answers are under way, or there is no run left that could ask.
async fn answering(stage: &Stage, least: usize) -> Result<usize, String> {
    let began = stage.clock.now();
    loop {
        let calls = stage.provider.calls();
        let under_way = calls.iter().filter(|call| !call.has_ended).count();
        if under_way >= least {
            return Ok(under_way);
        }
        let begun = stage.clock.now() - began > time::Duration::seconds(2);
        if begun && stage.open().await? == 0 {
            return Ok(under_way);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn freeze(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    tokio::time::sleep(chance.millis(100, 700)).await;
    let node = stage.victim(&mut chance).await?;
    let runs = stage.runs_of(node).await?;
    let held = runs.len();
    node.signal(Signal::SIGSTOP).await;
    stage.died(runs.clone());
    stage.say(format!("node {} is stopped with {held} runs", node.number));
    let pause = if stage.plan.long { 40 } else { 2 } * stage.plan.dead_after_ms;
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let before = rows(&stage).await?;
    node.signal(Signal::SIGCONT).await;
    stage.say(format!("node {} goes on", node.number));
    // Whatever it had begun to write is refused by then.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let after = rows(&stage).await?;
    for (run, hash) in before {
        if !after.contains(&(run, hash)) {
            stage.broken(format!("I4: run {run} was written after its end"));
        }
    }
    Ok(())
}

/// The runs that have ended, and a digest of all that is written of each.
async fn rows(stage: &Stage) -> Result<Vec<(uuid::Uuid, String)>, String> {
    patiently(|| {
        sqlx::query_as(
            "select r.id, md5(concat(to_jsonb(r), (select json_agg(e order by seq) from run_events e where run_id = r.id),
               (select json_agg(s order by seq) from run_steps s where run_id = r.id),
               (select json_agg(i order by seq) from run_intents i where run_id = r.id),
               (select json_agg(u) from usage_records u where run_id = r.id)))
             from runs r where r.ended_at is not null",
        )
        .fetch_all(&stage.db)
    })
    .await
}

async fn roll(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    for _ in 0..if stage.plan.long { 3 } else { 1 } {
        for node in &stage.nodes {
            tokio::time::sleep(chance.millis(100, 500)).await;
            stage.say(format!("node {} is to go", node.number));
            node.leave(Duration::from_secs(20)).await?;
            node.start_at_last().await?;
            stage.say(format!("node {} is new", node.number));
        }
    }
    let deaths: i64 = patiently(|| {
        sqlx::query_scalar("select coalesce(sum(deaths), 0) from runs").fetch_one(&stage.db)
    })
    .await?;
    if deaths > 0 {
        stage.broken(format!("{deaths} runs saw a host die that only left"));
    }
    Ok(())
}
