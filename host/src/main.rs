//! The `bulkhead` program: everything is in the library, so that a test can be the same program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: bulkhead::Allocator = bulkhead::Allocator;

fn main() -> ExitCode {
    bulkhead::cli::main()
}
