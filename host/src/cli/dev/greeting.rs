//! What a ready `dev` says: where it is, and two lines that work as pasted into another terminal.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::agent::Deployed;
use super::running::Running;
use crate::cli::terminal::view::capabilities;
use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;

/// The line for programs.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    url: &'a str,
    org: &'a str,
    api_key: &'a str,
    agent: Option<&'a str>,
    metrics_url: &'a str,
}

impl<'a> From<&'a Running> for Ready<'a> {
    fn from(running: &'a Running) -> Self {
        Self {
            url: &running.url,
            org: &running.org,
            api_key: &running.api_key,
            agent: running.agent.as_deref(),
            metrics_url: &running.metrics_url,
        }
    }
}

const QUESTION: &str = "how do i stop a run??";

pub(super) fn print(
    running: &Running,
    deployed: Option<&Deployed>,
    data: &Path,
    out: Output,
) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&Ready::from(running));
    }
    let agent = deployed.map(|deployed| {
        format!(
            "{} v{} ({})",
            deployed.agent,
            deployed.version.number,
            capabilities(deployed.version.imports.iter().map(String::as_str))
        )
    });
    out.line("\nBulkhead is ready.\n");
    out.fields(&[
        ("  URL", running.url.clone()),
        ("  organization", running.org.clone()),
        ("  API key", running.api_key.clone()),
        ("  agent", agent.unwrap_or_default()),
        ("  metrics", running.metrics_url.clone()),
        ("  data", data.display().to_string()),
    ]);
    if let Some(deployed) = deployed {
        out.line("\nAsk it, from another terminal:\n");
        out.line(format!("  {}\n", curl(running, &deployed.agent)));
        out.line(format!("  {}", run(&deployed.agent, data)));
    }
    out.line("\nCtrl-C stops it.");
    Ok(())
}

fn curl(running: &Running, agent: &str) -> String {
    let url = format!(
        "{}/v1/orgs/{}/agents/{agent}/runs",
        running.url, running.org
    );
    let headers = [
        format!("authorization: Bearer {}", running.api_key),
        "accept: text/event-stream".to_owned(),
        "content-type: application/json".to_owned(),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|header| format!("-H {}", quote(header)))
        .collect();
    let body = json!({ "input": QUESTION }).to_string();
    format!("curl -N {url} {} -d {}", headers.join(" "), quote(&body))
}

fn run(agent: &str, data: &Path) -> String {
    let mut line = format!("{} run {agent} {}", quote(&program()), quote(QUESTION));
    if data != Path::new(".bulkhead") {
        line.push_str(&format!(" --data {}", quote(&data.to_string_lossy())));
    }
    line
}

/// As one would type it here: by its name where PATH leads to it, relative where it lies below, else whole.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else {
        return "bulkhead".to_owned();
    };
    let path = Surroundings::read().path.unwrap_or_default();
    let on_path = program.file_name().is_some_and(|name| {
        let first = std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file());
        first.and_then(|file| file.canonicalize().ok()) == program.canonicalize().ok()
    });
    let below = std::env::current_dir()
        .ok()
        .and_then(|here| Some(program.strip_prefix(here).ok()?.to_owned()));
    let shown = match below {
        _ if on_path => PathBuf::from(program.file_name().unwrap_or_default()),
        Some(below) if below.components().count() == 1 => Path::new(".").join(below),
        Some(below) => below,
        None => program,
    };
    shown.to_string_lossy().into_owned()
}

/// Quoted for a shell where it needs to be.
fn quote(word: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(bare) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("target/release/bulkhead"), "target/release/bulkhead");
        assert_eq!(quote("how do i stop a run??"), "'how do i stop a run??'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
