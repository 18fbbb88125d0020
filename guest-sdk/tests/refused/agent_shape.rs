//! Agents of the wrong shape.
use bulkhead_sdk::{Outcome, Result, Turn, agent};

#[agent]
fn nothing_taken() -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
fn too_much_taken(_: Turn, _: u32) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
fn nothing_answered(_: Turn) {}

#[agent]
async fn waiting(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
unsafe fn reckless(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
fn open<T>(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
fn überall(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
struct Thing;

impl Thing {
    #[agent]
    fn of_a_thing(self) -> Result<Outcome> {
        Ok(Outcome::EndTurn)
    }
}

fn main() {}
