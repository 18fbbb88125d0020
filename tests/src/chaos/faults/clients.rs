//! What clients do: they leave after each event, read slowly, follow by the hundred what does not move, and never finish
//! what they began to say.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Fault;
use crate::chaos::chance::Chance;
use crate::chaos::readers::{Manners, follow, submit};
use crate::chaos::script::Script;
use crate::chaos::stage::Stage;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        manners: Manners {
            always: true,
            ..Manners::PLAIN
        },
        ..Fault::plain(
            "clients-leave",
            "every client leaves after each event and comes back on any node",
            |stage, chance| Box::pin(nothing(stage, chance)),
        )
    },
    Fault {
        manners: Manners {
            leaves: 10,
            dawdles: Duration::from_millis(40),
            ..Manners::PLAIN
        },
        ..Fault::plain(
            "clients-slow",
            "clients read slowly, and a node dies",
            |stage, chance| Box::pin(slow(stage, chance)),
        )
    },
    Fault {
        ..Fault::plain(
            "clients-idle",
            "hundreds of streams of runs that sleep",
            |stage, chance| Box::pin(idle(stage, chance)),
        )
    },
    Fault {
        nodes: 1,
        ..Fault::plain(
            "slowloris",
            "connections that never come to the end of their headers",
            |stage, chance| Box::pin(slowloris(stage, chance)),
        )
    },
];

async fn nothing(_: Arc<Stage>, _: Chance) -> Result<(), String> {
    tokio::time::sleep(Duration::from_millis(700)).await;
    Ok(())
}

async fn slow(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    tokio::time::sleep(chance.millis(300, 1_200)).await;
    let node = stage.victim(&mut chance).await?;
    stage.kill(node).await?;
    node.start_at_last().await
}

async fn idle(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    let (streams, runs) = if stage.plan.long {
        (5_000, 50)
    } else {
        (500, 10)
    };
    let manners = Manners {
        leaves: 0,
        ..Manners::PLAIN
    };
    let before = resident(&stage).await;
    let mut sleepers = Vec::new();
    for number in 0..runs {
        // Numbers that no other script has.
        let script = Script::sleeper(1_000_000 + number, Duration::from_millis(2_500));
        let org = number % stage.orgs.len();
        sleepers.push((org, submit(&stage, org, &script, &mut chance).await?));
    }
    let readers: Vec<_> = (0..streams)
        .map(|number| {
            let (stage, sleeper) = (Arc::clone(&stage), sleepers[number % runs]);
            let mut chance = chance.branch("idle", number);
            let tasks = stage.tasks.clone();
            tasks.spawn(async move { follow(&stage, sleeper, manners, &mut chance).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let during = resident(&stage).await;
    let each = during.saturating_sub(before) / streams;
    stage.say(format!("{streams} streams: {each} bytes each"));
    for reader in readers {
        match reader.await {
            Ok(Ok(seen)) if seen.events.len() == 4 => {}
            Ok(Ok(seen)) => stage.broken(format!("an idle stream showed {:?}", seen.events)),
            Ok(Err(error)) => stage.broken(error),
            Err(panic) => stage.broken(format!("a reader ended badly: {panic}")),
        }
    }
    Ok(())
}

async fn resident(stage: &Stage) -> usize {
    let mut bytes = 0;
    for node in &stage.nodes {
        let footprints = node.footprints().await;
        bytes += footprints.map_or(0, |(_, now)| now.resident_bytes);
    }
    bytes
}

async fn slowloris(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    let count = if stage.plan.long { 2_000 } else { 200 };
    let address = stage.any_url(&mut chance).await.replace("http://", "");
    let connections: Vec<_> = (0..count)
        .map(|_| {
            let address = address.clone();
            stage.tasks.spawn(async move { linger(&address).await })
        })
        .collect();
    for (number, connection) in connections.into_iter().enumerate() {
        match tokio::time::timeout(Duration::from_secs(60), connection).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => return Err(error.to_string()),
            _ => stage.broken(format!("connection {number} is held for ever")),
        }
    }
    Ok(())
}

/// Says a header a byte at a time until the host has enough.
async fn linger(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n")
        .await?;
    let mut byte = [0; 1];
    loop {
        let closed = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut byte)).await;
        match closed {
            // An answer, or the end: it does not wait any longer.
            Ok(_) => return Ok(()),
            Err(_) if stream.write_all(b"x").await.is_err() => return Ok(()),
            Err(_) => {}
        }
    }
}
