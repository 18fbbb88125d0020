//! The agent of a `dev`: its component made the stable version, its knowledge folder read in. What is unchanged since
//! the last start changes nothing.

use std::path::Path;

use bytes::Bytes;

use crate::agents::channels::MoveChannel;
use crate::agents::upload::Uploaded;
use crate::agents::{Agents, Version};
use crate::cli::build::Built;
use crate::cli::knowledge::progress;
use crate::cli::terminal::{Failure, Output, plain};
use crate::guardrails;
use crate::identity::Caller;
use crate::knowledge::{Knowledge, ingest};

/// What runs now.
#[derive(Debug)]
pub(in crate::cli) struct Deployed {
    pub(in crate::cli) agent: String,
    pub(in crate::cli) version: Version,
}

pub(in crate::cli) async fn deploy(
    agents: &Agents,
    caller: &Caller,
    built: &Built,
) -> Result<Deployed, Failure> {
    let bytes = Bytes::from(tokio::fs::read(&built.wasm).await?);
    let (Uploaded::New(version) | Uploaded::Known(version)) =
        agents.upload(caller, &built.agent, (bytes, None)).await?;
    if agents.get(caller, &built.agent).await?.stable != Some(version.number) {
        // Who develops asks for it by saving the file, and the conversation goes on with what was saved.
        let diff = agents.diff(caller, &built.agent, version.number).await?;
        let to = MoveChannel {
            version: version.number,
            repin: true,
            approve_capabilities: diff.more,
        };
        agents.promote(caller, &built.agent, &to).await?;
    }
    Ok(Deployed {
        agent: built.agent.clone(),
        version,
    })
}

/// What a newer host knows may be declared while it is written; here it is said, and guards nothing.
pub(super) fn warn(deployed: &Deployed, out: Output) {
    let (_, unknown) = guardrails::parse(&deployed.version.manifest.guardrails);
    for unknown in unknown {
        let value = plain::line(&unknown.value);
        out.note(format!(
            "warning: the guardrail `{value}` is unknown and guards nothing: {}",
            unknown.reason
        ));
    }
}

/// Reads in the folder, if there is one.
pub(in crate::cli) async fn read_knowledge(
    knowledge: &Knowledge,
    caller: &Caller,
    folder: &Path,
    out: Output,
) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Ok(());
    }
    let files = ingest::collect(folder, &knowledge.config().ingest)?;
    let bar = progress(files.len(), out);
    let mut changed = 0;
    for file in &files {
        bar.set_message(plain::line(&file.source));
        let put = knowledge
            .put(caller, None, file.read()?)
            .await
            .map_err(|error| {
                let failure = Failure::from(error);
                Failure::new(
                    &failure.code,
                    format!("{}: {}", file.path.display(), failure.detail),
                )
            })?;
        changed += usize::from(put.changed);
        bar.inc(1);
    }
    bar.finish_and_clear();
    out.note(format!(
        "knowledge: {} files of {}, {changed} new or changed",
        files.len(),
        folder.display()
    ));
    Ok(())
}
