//! The `bulkhead` program.

fn main() {}
