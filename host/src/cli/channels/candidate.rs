//! What `promote` and `canary` share: the version that a channel is to point at.

use serde_json::{Value, json};

use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

/// The version that a channel is to point at.
#[derive(Debug, clap::Args)]
pub(super) struct Candidate {
    /// The agent's name.
    agent: String,
    /// The version's number.
    version: u32,
    /// Let open conversations choose again; else they stay on their versions.
    #[arg(long)]
    repin: bool,
    /// What it may ask for beyond the stable version, as `bulkhead versions diff` names it; repeat for more.
    #[arg(long, value_name = "CAPABILITY")]
    approve: Vec<String>,
}

impl Candidate {
    /// What is asked for it, but for what one verb alone says.
    pub(super) fn body(&self) -> Value {
        json!({
            "version": self.version,
            "repin": self.repin,
            "approve_capabilities": self.approve,
        })
    }

    pub(super) async fn point(
        &self,
        verb: &str,
        (body, target): (&Value, &Target),
        out: Output,
    ) -> Result<(), Failure> {
        let path = ["agents", &self.agent, verb];
        super::tell(&target.client()?.post(&path, body).await?, out)
    }
}
