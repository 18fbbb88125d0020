//! Keeps all the memory it can get, in a language whose allocator says a last word before it gives up.
use bulkhead_sdk::{Outcome, Result, Turn, agent};

/// Hoards.
#[agent]
fn hoard(_: Turn) -> Result<Outcome> {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![7_u8; 1 << 20]);
    }
}
