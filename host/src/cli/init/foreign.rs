//! A project in JavaScript or Python: the template's files under another name. What they are built with is named by
//! their own lock files.

use std::path::Path;

use super::templates::{Files, Language, Template, replaced};

const IN_JAVASCRIPT: &[u8] = b"/node_modules\n/target\n/.bulkhead\n";
const IN_PYTHON: &[u8] = b"/.venv\n/target\n__pycache__\n/.bulkhead\n";

/// The files of a project called `name`, but for the contract.
pub(super) fn project(template: &Template, name: &str) -> Files {
    let mut files = Files::new();
    for (place, content) in &template.files {
        let content = renamed(&template.name, place, content, name);
        files.insert(place.clone(), content);
    }
    let ignored = match template.language {
        Language::Python => IN_PYTHON,
        _ => IN_JAVASCRIPT,
    };
    let ignored = || ignored.to_vec();
    files.entry(".gitignore".into()).or_insert_with(ignored);
    files
}

/// The words of a README that name the agent.
pub(super) fn titles(own: &str, name: &str) -> Vec<(String, String)> {
    vec![
        (format!("# {own}\n"), format!("# {name}\n")),
        (format!(" {own} "), format!(" {name} ")),
        (format!("component={own}`"), format!("component={name}`")),
    ]
}

/// The file with the template's name replaced where it names the agent: as a text of its own, or in what the author
/// reads.
fn renamed(own: &str, place: &Path, content: &[u8], name: &str) -> Vec<u8> {
    let ending = place.extension().and_then(|end| end.to_str());
    let pairs = match ending {
        Some("js" | "json" | "mjs" | "py" | "toml" | "ts") => vec![
            (format!("\"{own}\""), format!("\"{name}\"")),
            (format!("'{own}'"), format!("'{name}'")),
        ],
        Some("md") => titles(own, name),
        _ => return content.to_owned(),
    };
    replaced(content, &pairs)
}
