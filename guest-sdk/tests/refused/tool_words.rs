//! Tools that say what cannot be said.
use bulkhead_sdk::{Result, tool};

/// Has an effect nobody knows.
#[tool(effect = "harmless")]
fn harmless() -> Result<u32> {
    Ok(1)
}

/// Has a price.
#[tool(price = 3)]
fn priced() -> Result<u32> {
    Ok(1)
}

fn main() {}
