//! Computes for ever.
use bulkhead_sdk::{Outcome, Result, Turn, agent};

/// Computes for ever.
#[agent]
fn spin(turn: Turn) -> Result<Outcome> {
    let mut n = turn.text().len() as u64;
    loop {
        n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
