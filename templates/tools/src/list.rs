//! The list in the conversation's memory: a key for each thing, its amount under it. The functions under `#[tool]` ask.
//! Nothing here answers a model; what is wrong with a name is told by whoever has it from one.

use bulkhead_sdk::{Result, arguments, memory};

/// What every key of the list begins with, so that other things may be kept beside it.
const PREFIX: &str = "list/";

/// One thing on the list.
#[arguments]
pub struct Item {
    /// What it is, in small letters.
    pub name: String,
    pub amount: u32,
}

/// Everything on the list, by name.
pub(crate) fn all() -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for key in memory::keys(PREFIX)? {
        let amount = memory::get(&key)?.unwrap_or_default();
        items.push(Item {
            name: key[PREFIX.len()..].to_owned(),
            amount: amount.parse().unwrap_or(1),
        });
    }
    Ok(items)
}

/// Puts so many of it on the list, in place of what was there.
pub(crate) fn put(item: &Item) -> Result<()> {
    memory::set(&key(&item.name), &item.amount.to_string())
}

/// Takes it off; whether it was there.
pub(crate) fn remove(name: &str) -> Result<bool> {
    memory::delete(&key(name))
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}
