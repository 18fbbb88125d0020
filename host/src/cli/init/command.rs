//! What `bulkhead init` is asked and answers.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::pack::Pack;
use super::project;
use super::templates::{self, Template};
use crate::cli::terminal::{Failure, Output};

/// Make the project of a new agent from a template
///
/// The project has everything it is built from: the agent, the contract and the lock file, and for Rust the SDK.
/// A pack's manifest names templates of others by their SHA-256; nothing of one is unpacked before it fits.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead init greeter --template chat
  bulkhead init greeter --template py-chat
  bulkhead init --list
  bulkhead init triage --from https://example.com/pack.toml --template triage

Environment: none; it needs no host."
)]
pub(in crate::cli) struct Args {
    /// The agent's name: 1 to 63 small letters, digits and `-`, a letter first.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// What it starts as; `--list` names them. `support` where absent, or the only one of the pack.
    #[arg(long)]
    template: Option<String>,
    /// Take the template from a pack: its manifest, in a file or under https.
    #[arg(long, value_name = "MANIFEST")]
    from: Option<String>,
    /// Where to put it; a folder called like the agent where absent. It must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the templates, a line each.
    #[arg(long, conflicts_with_all = ["name", "dir"])]
    list: bool,
}

/// What it starts as where nothing is said.
const USUAL: &str = "support";

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let Some(name) = args.name.clone().filter(|_| !args.list) else {
        return list(args.from.as_deref(), out).await;
    };
    project::check_name(&name)?;
    let folder = args.dir.unwrap_or_else(|| PathBuf::from(&name));
    project::check_folder(&folder)?;
    let template = match &args.from {
        Some(from) => from_pack(from, args.template.as_deref(), &folder).await?,
        None => built_in(args.template.as_deref().unwrap_or(USUAL))?,
    };
    let files = template.project(&name)?;
    project::write(&folder, &files)?;
    told(&name, (&template, &folder), files.len(), out)
}

fn built_in(name: &str) -> Result<Template, Failure> {
    let mut all = templates::all();
    match all.iter().position(|known| known.name == name) {
        Some(place) => Ok(all.swap_remove(place)),
        None => Err(unknown(name, all.iter().map(|known| known.name.as_str()))),
    }
}

async fn from_pack(from: &str, name: Option<&str>, project: &Path) -> Result<Template, Failure> {
    let pack = Pack::open(from).await?;
    let names = || pack.entries.iter().map(|entry| entry.name.as_str());
    let entry = match (name, pack.entries.as_slice()) {
        (None, [only]) => only,
        (None, _) => {
            let names: Vec<_> = names().collect();
            let detail = format!("--template is missing: name one of {}", names.join(", "));
            return Err(Failure::usage(detail));
        }
        (Some(name), all) => {
            let found = all.iter().find(|entry| entry.name == name);
            found.ok_or_else(|| unknown(name, names()))?
        }
    };
    pack.template(entry, project).await
}

async fn list(from: Option<&str>, out: Output) -> Result<(), Failure> {
    let all: Vec<(String, String)> = match from {
        Some(from) => {
            let entries = Pack::open(from).await?.entries.into_iter();
            entries
                .map(|entry| (entry.name, entry.description))
                .collect()
        }
        None => {
            let templates = templates::all().into_iter();
            templates
                .map(|template| (template.name, template.description))
                .collect()
        }
    };
    if out.is_json() {
        let each = all.iter();
        let each =
            each.map(|(name, description)| json!({ "name": name, "description": description }));
        return out.json(&json!({ "data": each.collect::<Vec<_>>() }));
    }
    let rows = all
        .into_iter()
        .map(|(name, description)| [name, description]);
    out.table(["TEMPLATE", "WHAT IT IS"], rows.collect());
    Ok(())
}

fn unknown<'a>(name: &str, valid: impl Iterator<Item = &'a str>) -> Failure {
    let names: Vec<_> = valid.collect();
    let detail = format!(
        "there is no template {name:?}: name one of {}",
        names.join(", ")
    );
    Failure::new("unknown_template", detail)
}

fn told(
    name: &str,
    (template, folder): (&Template, &Path),
    files: usize,
    out: Output,
) -> Result<(), Failure> {
    if out.is_json() {
        let folder = folder.display().to_string();
        let what =
            json!({ "agent": name, "template": template.name, "folder": folder, "files": files });
        return out.json(&what);
    }
    let folder = folder.display();
    out.line(format!("{name}: a {} in {folder}", template.name));
    for word in template.next() {
        out.line(format!(
            "  {}",
            word.replace("{name}", name)
                .replace("{folder}", &folder.to_string())
        ));
    }
    Ok(())
}
