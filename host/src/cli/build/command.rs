//! `bulkhead build`: a component from an agent's project, and what it will ask of a host.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{For, build};
use crate::cli::terminal::view::bytes;
use crate::cli::terminal::{Failure, Output};
use crate::sandbox::component::inspect;

/// Build an agent's project into a component
///
/// The toolchain is that of its language: cargo where there is a Cargo.toml, npm for a package.json, pip for a
/// pyproject.toml. What the project's lock file names is installed into the project, and nowhere else.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead build
  bulkhead build greeter --output json

Environment: what the toolchain itself reads; it needs no host."
)]
pub(in crate::cli) struct Args {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let began = Instant::now();
    let built = build(&args.dir, For::Hosts, out).await?;
    let took = began.elapsed().as_millis();
    let component = tokio::fs::read(&built.wasm).await?;
    // What a host would say of it at upload, said now.
    let refused = |why| Failure::new("component_refused", format!("{why}"));
    let imports = inspect(&component).map_err(refused)?;
    let size = component.len();
    let digest = hex::encode(Sha256::digest(&component));
    if out.is_json() {
        return out.json(&json!({
            "agent": built.agent,
            "component": built.wasm.display().to_string(),
            "size_bytes": size,
            "digest": digest,
            "imports": imports,
            "build_ms": u64::try_from(took).unwrap_or(u64::MAX),
        }));
    }
    out.line(format!("{}: {}", built.agent, built.wasm.display()));
    out.fields(&[
        ("built in", format!("{took} ms")),
        ("size", bytes(i64::try_from(size).unwrap_or(i64::MAX))),
        ("digest", digest),
        ("imports", imports.join(", ")),
    ]);
    Ok(())
}
