//! Tools that take or answer what is no JSON.
use bulkhead_sdk::{Result, tool};

struct Opaque;

/// Takes what nobody can write.
#[tool]
fn takes(thing: Opaque) -> Result<u32> {
    drop(thing);
    Ok(1)
}

/// Answers what nobody can read.
#[tool]
fn answers() -> Result<Opaque> {
    Ok(Opaque)
}

fn main() {}
