//! What happens to PostgreSQL: restarted, crashed, frozen, its backends ended, its connections too few, its disk full.

use std::sync::Arc;
use std::time::Duration;

use super::Fault;
use crate::chaos::chance::Chance;
use crate::chaos::stage::Stage;

/// A guest whose search or whose model's connection cannot be read is told so, and this one gives up.
const AWAY: &[&str] = &["guest_error", "model_error"];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        own_cluster: true,
        may_end: AWAY,
        ..Fault::plain(
            "pg-restart",
            "PostgreSQL is stopped in order and started again",
            |stage, chance| Box::pin(restart(stage, chance, false)),
        )
    },
    Fault {
        own_cluster: true,
        may_end: AWAY,
        ..Fault::plain(
            "pg-crash",
            "PostgreSQL is stopped at once, as by a crash, and started again",
            |stage, chance| Box::pin(restart(stage, chance, true)),
        )
    },
    Fault {
        own_cluster: true,
        may_end: AWAY,
        ..Fault::plain(
            "pg-freeze",
            "no process of PostgreSQL moves for a while",
            |stage, chance| Box::pin(freeze(stage, chance)),
        )
    },
    Fault {
        may_end: AWAY,
        ..Fault::plain(
            "pg-terminate",
            "backends of the hosts are ended at random",
            |stage, chance| Box::pin(terminate(stage, chance)),
        )
    },
    Fault {
        settings: &[("MODELS__TRIES", "1"), ("DATABASE_CONNECTIONS", "3")],
        runs: (16, 24),
        over_ms: 200,
        ..Fault::plain(
            "pool",
            "hosts have fewer connections than they would use, and a node dies",
            |stage, chance| Box::pin(pool(stage, chance)),
        )
    },
    Fault {
        own_cluster: true,
        may_end: AWAY,
        disk_bytes: Some(160 << 20),
        ..Fault::plain(
            "disk-full",
            "PostgreSQL's disk is full for a while",
            |stage, chance| Box::pin(disk_full(stage, chance)),
        )
    },
];

async fn restart(stage: Arc<Stage>, mut chance: Chance, crash: bool) -> Result<(), String> {
    let server = stage.cluster.server()?;
    for _ in 0..if stage.plan.long { 3 } else { 1 } {
        tokio::time::sleep(chance.millis(150, 900)).await;
        stage.say(format!("PostgreSQL stops, at once: {crash}"));
        if crash {
            server.stop_at_once().await?;
        } else {
            server.stop().await?;
        }
        tokio::time::sleep(chance.millis(0, 800)).await;
        server.start().await?;
        stage.say("PostgreSQL is back".to_owned());
    }
    Ok(())
}

async fn freeze(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    tokio::time::sleep(chance.millis(150, 900)).await;
    let pause = if stage.plan.long {
        Duration::from_secs(30)
    } else {
        chance.millis(1_000, 2_500)
    };
    stage.say(format!("PostgreSQL is frozen for {pause:?}"));
    stage.cluster.server()?.freeze(pause).await;
    stage.say("PostgreSQL goes on".to_owned());
    Ok(())
}

async fn terminate(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    for _ in 0..if stage.plan.long { 30 } else { 6 } {
        tokio::time::sleep(chance.millis(20, 300)).await;
        let most = chance.between(1, 6);
        // One of the harness's own may be among them: it asks again.
        let ended = sqlx::query_scalar::<_, i64>(
            "select count(pg_terminate_backend(pid)) from (
               select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
               order by md5(pid::text || $1::text) limit $2) chosen",
        )
        .bind(format!("{}", chance.next()))
        .bind(i64::try_from(most).unwrap_or(1))
        .fetch_one(&stage.db)
        .await;
        stage.say(format!("backends ended: {ended:?}"));
    }
    Ok(())
}

async fn pool(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    tokio::time::sleep(chance.millis(100, 900)).await;
    let node = stage.victim(&mut chance).await?;
    stage.kill(node).await?;
    node.start_at_last().await
}

async fn disk_full(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    let server = stage.cluster.server()?;
    tokio::time::sleep(chance.millis(100, 500)).await;
    let ballast = server.fill()?;
    // Segments of the log that are there already are written to first.
    let ate =
        sqlx::query("create table eaten as select md5(n::text) from generate_series(1, 2000000) n")
            .execute(&stage.db)
            .await;
    stage.say(format!(
        "the disk is full: {:?}",
        ate.err().map(|e| e.to_string())
    ));
    tokio::time::sleep(chance.millis(500, 2_000)).await;
    std::fs::remove_file(&ballast).map_err(|error| error.to_string())?;
    // It may have given up meanwhile.
    server.revive().await?;
    stage.say("there is room again".to_owned());
    Ok(())
}
