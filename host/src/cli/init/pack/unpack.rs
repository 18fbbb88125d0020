//! The files of an archive that was verified: unpacked by `kit::unpack` into a folder beside the project's, looked at,
//! and gone from there again. Invariant: what is answered can be written below any folder of any file system, and has
//! no part that means something to the tools of a project.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::cli::init::project::Part;
use crate::cli::init::templates::{Files, OURS};
use crate::kit::unpack::{Bounds, Links, Plan, unpack};

const PLAN: Plan = Plan {
    bounds: Bounds {
        entries: 1_000,
        bytes: 32 << 20,
        file_bytes: 8 << 20,
    },
    strip: 0,
    links: Links::Refuse,
};
/// What tools look for wherever it is, and is no part of a template.
const NOWHERE: [&str; 3] = [".git", ".venv", "node_modules"];
/// What is made at the top of a project.
const NOT_AT_THE_TOP: [&str; 3] = [".bulkhead", "target", OURS];

/// The files of an archive, or why it is refused. `project` is the folder they are for.
pub(super) fn files(archive: &[u8], project: &Path) -> Result<Files, String> {
    let part = Part::beside(project).map_err(failed)?;
    let folder = Dir::open_ambient_dir(part.path(), ambient_authority()).map_err(failed)?;
    unpack(archive, &folder, &PLAN).map_err(|refused| refused.to_string())?;
    let mut files = Files::new();
    collect(&folder, "", &mut files)?;
    Ok(files)
}

/// Everything below a folder, whose name from the top is `at`.
fn collect(folder: &Dir, at: &str, files: &mut Files) -> Result<(), String> {
    // As a file system that takes `A` for `a` would keep them.
    let mut taken = BTreeMap::new();
    for entry in folder.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| "a name in the archive is no text".to_owned())?;
        let top = if at.is_empty() {
            &NOT_AT_THE_TOP[..]
        } else {
            &[]
        };
        let mut never = NOWHERE.iter().chain(top);
        if never.any(|never| never.eq_ignore_ascii_case(&name)) {
            return Err(format!(
                "`{at}{name}` in the archive is no part of a template"
            ));
        }
        if let Some(other) = taken.insert(name.to_lowercase(), name.clone()) {
            let place = "take the same place where `A` is `a`";
            return Err(format!(
                "`{at}{other}` and `{at}{name}` in the archive {place}"
            ));
        }
        let path = format!("{at}{name}");
        if entry.file_type().map_err(failed)?.is_dir() {
            collect(
                &entry.open_dir().map_err(failed)?,
                &format!("{path}/"),
                files,
            )?;
        } else {
            let mut content = Vec::new();
            let read = entry
                .open()
                .and_then(|mut file| file.read_to_end(&mut content));
            read.map_err(failed)?;
            files.insert(path.into(), content);
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> String {
    format!("it cannot be unpacked here: {error}")
}
