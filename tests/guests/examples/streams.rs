//! Opens generations and does with them what it is told: `hold COUNT` leaves them open, `drop COUNT` drops each at
//! once, `taste COUNT` takes so many pieces, drops the rest and waits, `sip COUNT` takes them slowly, `gulp COUNT`
//! takes one and computes for ever.
use std::time::Duration;

use bulkhead_sdk::model::{self, Message, Request};
use bulkhead_sdk::{Outcome, Result, Turn, agent, clock, output};

/// Opens streams.
#[agent]
fn streams(turn: Turn) -> Result<Outcome> {
    let (what, count) = turn.text().split_once(' ').unwrap_or(("", ""));
    let count = count.parse().unwrap_or(1);
    let open = || model::generate(&Request::new(vec![Message::user("go on")]));
    match what {
        "hold" => {
            let held = (0..count).map(|_| open()).collect::<Result<Vec<_>>>()?;
            output::text("open");
            std::mem::forget(held);
        }
        "drop" => {
            for _ in 0..count {
                drop(open()?);
            }
        }
        "taste" => {
            for piece in open()?.take(count) {
                piece?;
            }
            output::text("dropped");
            clock::sleep(Duration::from_secs(3_600));
        }
        "sip" => {
            for piece in open()?.take(count) {
                piece?;
                clock::sleep(Duration::from_millis(2));
            }
        }
        _ => {
            let mut generation = open()?;
            generation.next().transpose()?;
            output::text("took one");
            loop {
                std::hint::black_box(&generation);
            }
        }
    }
    Ok(Outcome::EndTurn)
}
