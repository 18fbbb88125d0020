//! What happens at the provider: it refuses, hangs, answers with errors, breaks off, sends rubbish or does not end.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use super::Fault;
use crate::chaos::chance::Chance;
use crate::chaos::script::given;
use crate::chaos::stage::Stage;
use crate::provider::{Answer, How};

/// Short waits, and no rest after failures: every request is to meet its fault.
const IMPATIENT: &[super::Setting] = &[
    ("MODELS__FIRST_BYTE_MS", "600"),
    ("MODELS__IDLE_MS", "400"),
    ("MODELS__TOTAL_MS", "5000"),
    ("MODELS__BACKOFF_MS", "5"),
    ("MODELS__BREAKER_FAILURES", "100000"),
    ("MODELS__WIRE_BYTES_MAX", "4194304"),
];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        may_end: &["model_error"],
        settings: IMPATIENT,
        tries: 3,
        ..Fault::plain(
            "provider",
            "it refuses, hangs, answers 429 and 500, breaks off, sends rubbish, does not end",
            |stage, chance| Box::pin(ill(stage, chance)),
        )
    },
    Fault {
        ..Fault::plain(
            "provider-split",
            "every byte of its answers comes alone, and a node dies",
            |stage, chance| Box::pin(split(stage, chance)),
        )
    },
];

async fn ill(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    let salt = chance.next();
    stage.provider.always(move |question| {
        let mut hasher = DefaultHasher::new();
        question.hash(&mut hasher);
        let mut chance = Chance::new(salt ^ hasher.finish());
        let well = given(question);
        let length = well.body(10).len() as u64;
        let cut = usize::try_from(chance.between(0, length)).unwrap_or_default();
        match chance.between(0, 13) {
            0 => well.how(How::Refuse),
            1 => well.how(How::HangBeforeHead),
            2 => well.how(How::HangAfterHead),
            3 => well.how(How::HangAfter(cut)),
            4 => Answer::rate_limited("0"),
            5 => Answer::status(500, "out of order"),
            6 => well.how(How::Truncate(cut)),
            7 => well.how(How::Garbage(rubbish(&mut chance))),
            8 => well.how(How::EndlessLine),
            9 => well.how(How::EndlessComments),
            _ => well,
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

fn rubbish(chance: &mut Chance) -> Vec<u8> {
    let length = chance.between(1, 600);
    let mut bytes = b"data: ".to_vec();
    bytes.extend((0..length).map(|_| chance.next().to_le_bytes()[0]));
    bytes
}

async fn split(stage: Arc<Stage>, mut chance: Chance) -> Result<(), String> {
    stage
        .provider
        .always(|question| given(question).how(How::SplitEveryByte));
    tokio::time::sleep(chance.millis(200, 900)).await;
    let node = stage.victim(&mut chance).await?;
    stage.kill(node).await?;
    node.start_at_last().await
}
