//! The subcommands, and what all of them take.

use clap::{Parser, Subcommand};

use super::channels::{canary, promote, rollback, show};
use super::operator::{keys, migrate, nodes};
use super::terminal::{Failure, Format, Output};
use super::{
    audit, build, cancel, conversations, deploy, dev, doctor, guardrails, init, knowledge, limits,
    publishers, run, runs, serve, test, usage, versions, webhooks,
};

#[derive(Debug, Parser)]
#[command(
    name = "bulkhead",
    bin_name = "bulkhead",
    version,
    about = "Runs AI agents that nobody has to trust."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// How to print: for people, or as JSON (one document, or one line for each event).
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(super) output: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Init(init::Args),
    Build(build::Args),
    Dev(dev::Args),
    Test(test::Args),
    Serve(serve::Args),
    Deploy(deploy::Args),
    Run(run::Args),
    Cancel(cancel::Args),
    Conversations(conversations::Args),
    Replay(runs::replay::Args),
    Runs(runs::Args),
    Versions(versions::Args),
    Promote(promote::Args),
    Canary(canary::Args),
    Rollback(rollback::Args),
    Channels(show::Args),
    Publishers(publishers::Args),
    Knowledge(knowledge::Args),
    Guardrails(guardrails::Args),
    Limits(limits::Args),
    Usage(usage::Args),
    Audit(audit::Args),
    Webhooks(webhooks::Args),
    Keys(keys::Args),
    Migrate(migrate::Args),
    Nodes(nodes::Args),
    Doctor(doctor::Args),
}

impl Command {
    pub(super) async fn run(self, out: Output) -> Result<(), Failure> {
        match self {
            Self::Init(args) => init::run(args, out).await,
            Self::Build(args) => build::run(args, out).await,
            Self::Dev(args) => dev::run(args, out).await,
            Self::Test(args) => test::run(args, out).await,
            Self::Serve(args) => serve::run(args, out).await,
            Self::Deploy(args) => deploy::run(args, out).await,
            Self::Run(args) => run::run(args, out).await,
            Self::Cancel(args) => cancel::run(args, out).await,
            Self::Conversations(args) => conversations::run(args, out).await,
            Self::Replay(args) => runs::replay::run(args, out).await,
            Self::Runs(args) => runs::run(args, out).await,
            Self::Versions(args) => versions::run(args, out).await,
            Self::Promote(args) => promote::run(args, out).await,
            Self::Canary(args) => canary::run(args, out).await,
            Self::Rollback(args) => rollback::run(args, out).await,
            Self::Channels(args) => show::run(args, out).await,
            Self::Publishers(args) => publishers::run(args, out).await,
            Self::Knowledge(args) => knowledge::run(args, out).await,
            Self::Guardrails(args) => guardrails::run(args, out).await,
            Self::Limits(args) => limits::run(args, out).await,
            Self::Usage(args) => usage::run(args, out).await,
            Self::Audit(args) => audit::run(args, out).await,
            Self::Webhooks(args) => webhooks::run(args, out).await,
            Self::Keys(args) => keys::run(args, out).await,
            Self::Migrate(args) => migrate::run(args, out).await,
            Self::Nodes(args) => nodes::run(args, out).await,
            Self::Doctor(args) => doctor::run(args, out).await,
        }
    }
}
