//! The `bulkhead` program as the tests run it.

fn main() {
    let settings = std::env::args().nth(2).unwrap_or_default();
    std::process::exit(bulkhead::sandbox::compile::child(&settings));
}
