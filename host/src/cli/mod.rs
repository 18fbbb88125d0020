//! The command line: one file for each subcommand. The only place of the host that prints; called by `main.rs`.
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.

mod build;
mod cancel;
mod client;
mod deploy;
mod dev;
mod doctor;
mod keys;
mod knowledge;
mod migrate;
mod run;
mod runs;
mod serve;
mod stop;
mod terminal;
mod versions;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use self::terminal::{Failure, Format, Output, usage};
use crate::sandbox::compile;

#[derive(Debug, Parser)]
#[command(
    name = "bulkhead",
    version,
    about = "Runs AI agents that nobody has to trust.",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How to print: for people, or as JSON (one document, or one line for each event).
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Args),
    Serve(serve::Args),
    Deploy(deploy::Args),
    Run(run::Args),
    Cancel(cancel::Args),
    Runs(runs::Args),
    Versions(versions::Args),
    Knowledge(knowledge::Args),
    Keys(keys::Args),
    Migrate(migrate::Args),
    Doctor(doctor::Args),
}

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
        Err(error) => return usage(&error),
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

impl Command {
    async fn run(self, out: Output) -> Result<(), Failure> {
        match self {
            Self::Dev(args) => dev::run(args, out).await,
            Self::Serve(args) => serve::run(args, out).await,
            Self::Deploy(args) => deploy::run(args, out).await,
            Self::Run(args) => run::run(args, out).await,
            Self::Cancel(args) => cancel::run(args, out).await,
            Self::Runs(args) => runs::run(args, out).await,
            Self::Versions(args) => versions::run(args, out).await,
            Self::Knowledge(args) => knowledge::run(args, out).await,
            Self::Keys(args) => keys::run(args, out).await,
            Self::Migrate(args) => migrate::run(args, out).await,
            Self::Doctor(args) => doctor::run(args, out).await,
        }
    }
}
