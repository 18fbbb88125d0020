//! Running a toolchain's programs: each in a process group of its own, gone with the wait for it. Where one is not
//! there, the failure is the one command that installs it. Called for each language.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::cli::terminal::Failure;

pub(super) const INSTALL_RUST: &str =
    "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -t wasm32-wasip2";
const INSTALL_NODE: &str = "curl -o- https://raw.githubusercontent.com/nvm-sh/nvm/v0.40.3/install.sh | bash && \
    . ~/.nvm/nvm.sh && nvm install 22";

/// How a system installs Python with its virtual environments, by the program that does.
const INSTALL_PYTHON: [(&str, &str); 6] = [
    ("/usr/bin/apt-get", "sudo apt-get install -y python3-venv"),
    ("/usr/bin/dnf", "sudo dnf install -y python3"),
    ("/usr/bin/pacman", "sudo pacman -S --noconfirm python"),
    ("/sbin/apk", "sudo apk add python3"),
    ("/opt/homebrew/bin/brew", "brew install python"),
    ("/usr/local/bin/brew", "brew install python"),
];
const INSTALL_PYTHON_ANYWHERE: &str = "curl -LsSf https://astral.sh/uv/install.sh | sh && \
    ~/.local/bin/uv python install --preview --default 3.12";

/// What a project is built with.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Toolchain {
    Rust,
    Node,
    Python,
}

impl Toolchain {
    /// The command that installs it.
    pub(super) fn install(self) -> &'static str {
        match self {
            Self::Rust => INSTALL_RUST,
            Self::Node => INSTALL_NODE,
            Self::Python => INSTALL_PYTHON
                .iter()
                .find(|(program, _)| Path::new(program).exists())
                .map_or(INSTALL_PYTHON_ANYWHERE, |(_, command)| command),
        }
    }

    fn missing(self, program: &str, error: &io::Error) -> Failure {
        let command = self.install();
        let why = if error.kind() == io::ErrorKind::NotFound {
            "is not installed".to_owned()
        } else {
            format!("cannot be run ({error})")
        };
        match self {
            Self::Rust => Failure::new(
                "no_rust",
                format!("`{program}` {why}: install Rust by `{command}`"),
            ),
            Self::Node => Failure::new(
                "no_node",
                format!("`{program}` {why}: install Node.js by `{command}`"),
            ),
            Self::Python => Failure::new(
                "no_python",
                format!("`{program}` {why}: install Python by `{command}`"),
            ),
        }
    }

    /// Runs a tool to its end; what it prints is the answer.
    pub(super) async fn ask(
        self,
        mut tool: Command,
        errors: Stdio,
    ) -> Result<(ExitStatus, Vec<u8>), Failure> {
        tool.stdout(Stdio::piped()).stderr(errors);
        let mut group = self.start(tool)?;
        let mut answer = Vec::new();
        if let Some(stdout) = &mut group.0.stdout {
            stdout.read_to_end(&mut answer).await?;
        }
        let status = group.0.wait().await?;
        Ok((status, answer))
    }

    /// Runs a tool to its end; what it says is for people.
    pub(in crate::cli) async fn tell(self, mut tool: Command) -> Result<ExitStatus, Failure> {
        // Standard output is the command's own answer.
        tool.stdout(io::stderr().as_fd().try_clone_to_owned()?)
            .stderr(Stdio::inherit());
        let mut group = self.start(tool)?;
        Ok(group.0.wait().await?)
    }

    fn start(self, mut tool: Command) -> Result<Group, Failure> {
        let program = tool.as_std().get_program().to_string_lossy().into_owned();
        tool.stdin(Stdio::null()).process_group(0);
        // What a project's build runs is whatever its packages brought: the keys of a host are none of its business.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_secret(name)) {
            tool.env_remove(name);
        }
        let child = tool.spawn();
        child
            .map(Group)
            .map_err(|error| self.missing(&program, &error))
    }
}

fn is_secret(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"BULKHEAD") || name == "DATABASE_URL"
}

/// Names what these files say: where it is the same, what was installed by them still fits.
pub(super) fn stamp(folder: &Path, files: &[&str]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        // One that is not there says nothing.
        let content = std::fs::read(folder.join(file)).unwrap_or_default();
        digest.update(Sha256::digest(&content));
    }
    hex::encode(digest.finalize())
}

/// Makes room for a component: the one that is there afterwards was made now.
pub(super) fn make_room(wasm: &Path) -> Result<(), Failure> {
    let within = wasm.parent().map_or(Ok(()), std::fs::create_dir_all);
    let made = within.and_then(|()| match std::fs::remove_file(wasm) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    });
    made.map_err(|error| Failure::new("io", format!("cannot write {}: {error}", wasm.display())))
}

/// Whether a tool made the component it was to make.
pub(super) fn made(
    status: ExitStatus,
    wasm: &Path,
    (tool, folder): (&str, &Path),
) -> Result<(), Failure> {
    let what = match (status.success(), wasm.is_file()) {
        (true, true) => return Ok(()),
        (true, false) => format!("makes no {}", wasm.display()),
        (false, _) => "fails: see its words above".to_owned(),
    };
    let detail = format!("`{tool}` in {} {what}", folder.display());
    Err(Failure::new("build_failed", detail))
}

/// A tool and whatever it started: none of them outlives the wait for it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has been waited for has no id any more.
        if let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}
