//! A project in JavaScript: npm installs what `package-lock.json` names, into the project, and the project's own script
//! `build` makes the component.

use std::fs;
use std::path::Path;

use tokio::process::Command;

use super::Built;
use super::project::Node;
use super::tool::{self, Toolchain, stamp};
use crate::cli::terminal::{Failure, Output};

const LOCK: &str = "package-lock.json";
/// What is installed, by the stamp of what named it.
const INSTALLED: &str = "node_modules/.bulkhead";

pub(super) async fn build(folder: &Path, agent: Node, out: Output) -> Result<Built, Failure> {
    install(folder, out).await?;
    let wasm = folder.join(&agent.component);
    tool::make_room(&wasm)?;
    let mut npm = npm(folder);
    npm.args(["run", "--silent", "build"]);
    let status = Toolchain::Node.tell(npm).await?;
    tool::made(status, &wasm, ("npm run build", folder))?;
    Ok(Built {
        agent: agent.name,
        wasm,
    })
}

async fn install(folder: &Path, out: Output) -> Result<(), Failure> {
    let now = || stamp(folder, &["package.json", LOCK]);
    let mark = folder.join(INSTALLED);
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == now()) {
        return Ok(());
    }
    let locked = folder.join(LOCK).is_file();
    out.note(format!("installing the packages of {}", folder.display()));
    let mut npm = npm(folder);
    // What is installed runs when it is asked to, and not before.
    npm.args([if locked { "ci" } else { "install" }, "--ignore-scripts"]);
    npm.args(["--no-audit", "--no-fund", "--loglevel", "error"]);
    let status = Toolchain::Node.tell(npm).await?;
    if !status.success() {
        let detail = format!(
            "the packages of {} cannot be installed: see npm's words above",
            folder.display()
        );
        return Err(Failure::new("build_failed", detail));
    }
    fs::create_dir_all(folder.join("node_modules"))?;
    Ok(fs::write(mark, now())?)
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}
