//! What `bulkhead init` is asked and answers.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::project;
use super::templates::{self, Template};
use crate::cli::terminal::{Failure, Output};

/// Make the project of a new agent from a template
///
/// The project has everything it is built from: the agent, the SDK and the contract.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead init greeter --template chat
  bulkhead init --list

Environment: none; it needs no host."
)]
pub(in crate::cli) struct Args {
    /// The agent's name: 1 to 63 small letters, digits and `-`, a letter first.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// What it starts as; `--list` names them.
    #[arg(long, default_value = "support")]
    template: String,
    /// Where to put it; a folder called like the agent where absent. It must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the templates, a line each.
    #[arg(long, conflicts_with_all = ["name", "dir"])]
    list: bool,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let templates = templates::all();
    let Some(name) = args.name.filter(|_| !args.list) else {
        return list(&templates, out);
    };
    project::check_name(&name)?;
    let template = templates.iter().find(|known| known.name == args.template);
    let template = template.ok_or_else(|| unknown(&args.template, &templates))?;
    let folder = args.dir.unwrap_or_else(|| PathBuf::from(&name));
    let files = template.project(&name)?;
    project::write(&folder, &files)?;
    told(&name, (template, &folder), files.len(), out)
}

fn list(templates: &[Template], out: Output) -> Result<(), Failure> {
    if out.is_json() {
        let each = templates.iter();
        let each = each
            .map(|template| json!({ "name": template.name, "description": template.description }));
        return out.json(&json!({ "data": each.collect::<Vec<_>>() }));
    }
    let rows = templates
        .iter()
        .map(|template| [template.name.clone(), template.description.clone()]);
    out.table(["TEMPLATE", "WHAT IT IS"], rows.collect());
    Ok(())
}

fn unknown(name: &str, templates: &[Template]) -> Failure {
    let names: Vec<_> = templates.iter().map(|known| known.name.as_str()).collect();
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
    for word in template.next {
        out.line(format!(
            "  {}",
            word.replace("{name}", name)
                .replace("{folder}", &folder.to_string())
        ));
    }
    Ok(())
}
