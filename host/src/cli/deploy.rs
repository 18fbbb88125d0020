//! `bulkhead deploy`: a component, or the crate it is built from, becomes a version of an agent and the stable one.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::build::{For, build};
use super::client::{Client, Target};
use super::publishers::signature;
use super::terminal::view::{at, bytes, number};
use super::terminal::{Failure, Output};
use crate::agents::settings::{self, SECTION, Settings};
use crate::sandbox::sections;

/// Upload a version of an agent and make it the stable one
///
/// The same bytes again are the same version. Needs the scope `deploy`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead deploy support templates/support
  bulkhead deploy support target/guests/wasm32-wasip2/guest/support.wasm --no-stable
  bulkhead deploy support templates/support --setting tone=formal --setting contact=help@example.com

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    /// The agent's name; it is made where there is none.
    agent: String,
    /// A component (.wasm), or a crate to build.
    #[arg(value_name = "FILE_OR_DIR")]
    from: PathBuf,
    /// Leave the stable channel where it is.
    #[arg(long)]
    no_stable: bool,
    /// A setting of the version, which is part of it and no secret; repeat for more. Another one is another version.
    #[arg(long, value_name = "NAME=VALUE")]
    setting: Vec<String>,
    /// What it may ask for beyond the stable version, as `bulkhead versions diff` names it; repeat for more.
    #[arg(long, value_name = "CAPABILITY")]
    approve: Vec<String>,
    /// Sign it with the publisher's key in this file, as `bulkhead publishers keygen` makes it.
    #[arg(long, value_name = "KEY_FILE")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.target.client()?;
    let file = if args.from.is_dir() {
        build(&args.from, For::Hosts, out).await?.wasm
    } else {
        args.from
    };
    let component = tokio::fs::read(&file).await.map_err(|error| {
        Failure::new(
            "io",
            format!(
                "cannot read {}: {error}; name a .wasm file or a crate's folder",
                file.display()
            ),
        )
    })?;
    let component = set(component, &args.setting)?;
    let key = args.sign.as_deref();
    let signature = key.map(|key| signature(key, &component)).transpose()?;
    let (mut version, made) = client
        .upload(&["agents", &args.agent, "versions"], (component, signature))
        .await?;
    if !args.no_stable {
        let number = number(&version, "/number");
        make_stable(&client, &args.agent, (number, &args.approve)).await?;
    }
    if out.is_json() {
        version["created"] = json!(made);
        version["stable"] = json!(!args.no_stable);
        return out.json(&version);
    }
    let state = if made { "deployed" } else { "known already" };
    let stable = if args.no_stable { "" } else { ", stable now" };
    out.line(format!(
        "{} v{}: {state}{stable}",
        args.agent,
        number(&version, "/number")
    ));
    out.fields(&fields(&version));
    Ok(())
}

/// The component with these settings in the place of those it has.
fn set(component: Vec<u8>, given: &[String]) -> Result<Vec<u8>, Failure> {
    if given.is_empty() {
        return Ok(component);
    }
    let mut settings = Settings::new();
    for setting in given {
        let Some((name, value)) = setting.split_once('=') else {
            let detail = format!("`{setting}` is no setting: write name=value");
            return Err(Failure::usage(detail));
        };
        if settings.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::usage(format!("`{name}` is set twice")));
        }
    }
    settings::check(&settings)?;
    let section = serde_json::to_vec(&settings)?;
    let made = sections::with(&component, SECTION, &section);
    made.ok_or_else(|| {
        Failure::usage("settings are written into a component, and the file is none")
    })
}

async fn make_stable(
    client: &Client,
    agent: &str,
    (version, approve): (i64, &[String]),
) -> Result<Value, Failure> {
    client
        .put(
            &["agents", agent, "channels", "stable"],
            &json!({ "version": version, "approve_capabilities": approve }),
        )
        .await
}

/// A version as people read it.
pub(super) fn fields(version: &Value) -> Vec<(&'static str, String)> {
    vec![
        ("label", at(version, "/label")),
        ("signed by", at(version, "/signed_by")),
        ("digest", at(version, "/digest")),
        ("size", bytes(number(version, "/size_bytes"))),
        (
            "compiled in",
            format!("{} ms", number(version, "/compile_ms")),
        ),
        ("imports", at(version, "/imports")),
        ("settings", listed(&version["manifest"]["settings"])),
        ("provides", provided(version)),
        ("model", at(version, "/manifest/model")),
        ("description", at(version, "/manifest/description")),
    ]
}

/// `name=value`.
fn listed(settings: &Value) -> String {
    let pairs = settings.as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", at(value, "")));
    pairs.collect::<Vec<_>>().join(", ")
}

/// The tools it offers others, with what they do.
fn provided(version: &Value) -> String {
    let tools = version["manifest"]["provides"]
        .as_array()
        .into_iter()
        .flatten();
    let tools = tools.map(|tool| format!("{} ({})", at(tool, "/name"), at(tool, "/effect")));
    tools.collect::<Vec<_>>().join(", ")
}
