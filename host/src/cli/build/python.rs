//! A project in Python: a virtual environment of its own, into which pip installs what `requirements.txt` names with
//! its hashes, and the project's own words, which make the component.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::Built;
use super::project::Python;
use super::tool::{self, Toolchain, stamp};
use crate::cli::terminal::{Failure, Output};

const ENVIRONMENT: &str = ".venv";
const LOCK: &str = "requirements.txt";
/// What is installed, by the stamp of what named it.
const INSTALLED: &str = ".venv/.bulkhead";

pub(super) async fn build(folder: &Path, agent: Python, out: Output) -> Result<Built, Failure> {
    // Programs are named from the root, wherever this command was called.
    let folder = folder.canonicalize()?;
    install(&folder, out).await?;
    let wasm = folder.join(&agent.component);
    tool::make_room(&wasm)?;
    let [program, words @ ..] = agent.build.as_slice() else {
        return Err(Failure::new("bad_project", "there is nothing to build by"));
    };
    let within = folder.join(ENVIRONMENT).join("bin").join(program);
    if !within.is_file() {
        let detail = format!("{LOCK} installs no `{program}`, which pyproject.toml builds with");
        return Err(Failure::new("bad_project", detail));
    }
    let mut build = Command::new(within);
    build.current_dir(&folder).args(words);
    build.env("VIRTUAL_ENV", folder.join(ENVIRONMENT));
    let status = Toolchain::Python.tell(build).await?;
    tool::made(status, &wasm, (program, &folder))?;
    Ok(Built {
        agent: agent.name,
        wasm,
    })
}

async fn install(folder: &Path, out: Output) -> Result<(), Failure> {
    let now = || stamp(folder, &[LOCK]);
    let mark = folder.join(INSTALLED);
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == now()) {
        return Ok(());
    }
    out.note(format!("installing the packages of {}", folder.display()));
    let python = environment(folder).await?;
    let mut pip = Command::new(python);
    pip.current_dir(folder).args(["-m", "pip", "install"]);
    pip.args(["--quiet", "--disable-pip-version-check", "--no-input"]);
    // Nothing but what the file names, byte by byte, and nothing that is built here.
    pip.args(["--require-hashes", "--only-binary", ":all:", "-r", LOCK]);
    let status = Toolchain::Python.tell(pip).await?;
    if !status.success() {
        let detail = format!(
            "the packages of {} cannot be installed: see pip's words above",
            folder.display()
        );
        return Err(Failure::new("build_failed", detail));
    }
    Ok(fs::write(mark, now())?)
}

/// The Python of the project's environment, which is made where there is none.
async fn environment(folder: &Path) -> Result<PathBuf, Failure> {
    let python = folder.join(ENVIRONMENT).join("bin/python");
    if folder.join(ENVIRONMENT).join("bin/pip").is_file() {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    venv.current_dir(folder).args(["-m", "venv", ENVIRONMENT]);
    let status = Toolchain::Python.tell(venv).await?;
    if status.success() {
        return Ok(python);
    }
    let command = Toolchain::Python.install();
    let detail = format!(
        "`python3` here can make no virtual environment: install what it lacks by `{command}`"
    );
    Err(Failure::new("no_python", detail))
}
