//! The `bulkhead` program: everything is in the library, so that a test can be the same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    bulkhead::cli::main()
}
