//! The `bulkhead` program as the tests run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    bulkhead::cli::main()
}
