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

/// Is told twice what it does.
#[tool(effect = "read", effect = "mutate")]
fn undecided() -> Result<u32> {
    Ok(1)
}

/// Is told without quotes.
#[tool(effect = mutate)]
fn unquoted() -> Result<u32> {
    Ok(1)
}

/// Is told without a name.
#[tool("mutate")]
fn unnamed() -> Result<u32> {
    Ok(1)
}

/// Is told nothing.
#[tool(effect)]
fn hanging() -> Result<u32> {
    Ok(1)
}

fn main() {}
