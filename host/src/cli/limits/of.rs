//! Whose limits a command is about, and the route they have.

use serde_json::Value;

use crate::cli::client::{Client, Target};
use crate::cli::terminal::Failure;

/// The options that say whose limits.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    /// The version's number; the stable one where absent.
    #[arg(long, value_name = "NUMBER")]
    pub(super) version: Option<u32>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Whose limits: the path of their route.
pub(super) async fn path(
    client: &Client,
    agent: Option<String>,
    version: Option<u32>,
) -> Result<Vec<String>, Failure> {
    let Some(agent) = agent else {
        return Ok(vec!["limits".to_owned()]);
    };
    let version = match version {
        Some(version) => version.to_string(),
        None => stable(client, &agent).await?,
    };
    let path = ["agents", &agent, "versions", &version, "limits"];
    Ok(path.map(str::to_owned).to_vec())
}

async fn stable(client: &Client, agent: &str) -> Result<String, Failure> {
    let shown = client.get(&["agents", agent], &[]).await?;
    shown["stable"]
        .as_i64()
        .map(|number| number.to_string())
        .ok_or_else(|| {
            Failure::usage(format!(
                "`{agent}` has no stable version: name one with --version"
            ))
        })
}

pub(super) async fn get(client: &Client, path: &[String]) -> Result<Value, Failure> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    client.get(&path, &[]).await
}
