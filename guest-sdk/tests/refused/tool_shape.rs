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

/// Waits.
#[tool]
async fn waiting() -> Result<u8> {
    Ok(1)
}

/// Could be anything.
#[tool]
fn open<T>(of: Vec<u8>) -> Result<usize> {
    Ok(of.len())
}

/// Answers nothing at all.
#[tool]
fn silent(word: String) {
    drop(word);
}

/// Has a name no model can write.
#[tool]
fn länge(word: String) -> Result<usize> {
    Ok(word.len())
}

/// Is no function.
#[tool]
const PI: f64 = 3.0;

struct Thing;

impl Thing {
    /// Belongs to something.
    #[tool]
    fn of_a_thing(&self, word: String) -> Result<usize> {
        Ok(word.len())
    }
}

fn main() {}
