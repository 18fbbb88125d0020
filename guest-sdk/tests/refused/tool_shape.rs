//! Tools of the wrong shape.
use bulkhead_sdk::{Args, Result, tool};

#[tool]
fn undocumented() -> Result<u32> {
    Ok(1)
}

/// Answers what cannot fail.
#[tool]
fn sure() -> u32 {
    1
}

/// Borrows.
#[tool]
fn borrowing(word: &str) -> Result<usize> {
    Ok(word.len())
}

/// Takes what has no name.
#[tool]
fn nameless((a, b): (u8, u8)) -> Result<u8> {
    Ok(a + b)
}

/// Takes all and more.
#[tool]
fn greedy(all: Args<Vec<u8>>, more: u8) -> Result<u8> {
    Ok(more)
}

fn main() {}
