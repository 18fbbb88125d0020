//! Reads every clock, computes, reads them again, waits for an answer, and reads them once more.
#![expect(
    clippy::disallowed_methods,
    reason = "a guest reads the clock it is given"
)]
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bulkhead_sdk::{Outcome, Result, Turn, agent, clock, output};

/// Tells the time.
#[agent]
fn clocks(_: Turn) -> Result<Outcome> {
    let start = Instant::now();
    let tell = || {
        let now = clock::now().unix_milliseconds();
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let passed = start.elapsed().as_millis();
        output::text(&format!("{now} {} {passed}\n", wall.as_millis()));
    };
    tell();
    for n in 0..2_000_000_u32 {
        std::hint::black_box(n);
    }
    tell();
    clock::sleep(Duration::from_millis(30));
    tell();
    Ok(Outcome::EndTurn)
}
