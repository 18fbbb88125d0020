//! Arguments that are none.
use bulkhead_sdk::arguments;

#[arguments(strict)]
struct Told {
    word: String,
}

#[arguments]
fn function() {}

#[arguments]
union Either {
    small: u8,
    large: u64,
}

fn main() {}
