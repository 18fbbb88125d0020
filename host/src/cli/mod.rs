//! The command line: one file for each subcommand. The only place of the host that prints; called by `main.rs`.
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.

mod audit;
mod build;
mod cancel;
mod channels;
mod client;
mod command;
mod conversations;
mod deploy;
mod dev;
mod doctor;
mod guardrails;
mod init;
mod knowledge;
mod limits;
mod operator;
mod publishers;
mod run;
mod runs;
mod serve;
mod stop;
mod terminal;
mod test;
mod usage;
mod versions;
mod webhooks;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use self::command::{Cli, Command};
use self::terminal::{Failure, Output};
use crate::sandbox::compile;

/// The whole program.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == compile::CHILD) {
        // The compile child has an empty environment and limits of its own: no runtime, no configuration.
        let settings = words
            .next()
            .and_then(|word| word.into_string().ok())
            .unwrap_or_default();
        return ExitCode::from(u8::try_from(compile::child(&settings)).unwrap_or(1));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return terminal::usage(&error),
    };
    let out = Output::new(cli.output);
    match on_runtime(cli.command, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => out.failure(&failure),
    }
}

fn on_runtime(command: Command, out: Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(Box::pin(command.run(out)));
    // What still blocks a thread, such as a read of the index, must not keep the program.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}
