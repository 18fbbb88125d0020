//! The author's loop: a save is built, uploaded and made stable, and open conversations go on with it. Whatever a
//! round comes to, the version before keeps answering until the next one is whole, and the loop goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::agent::{self, Deployed};
use super::project::{Snapshot, Watch};
use crate::app::App;
use crate::cli::build::{For, build};
use crate::cli::terminal::{Failure, Output, plain};
use crate::identity::Caller;
use crate::kit::Clock;

/// How many changed files are named.
const NAMED: usize = 3;

/// What a round works with.
pub(super) struct Author<'a> {
    pub(super) app: &'a App,
    pub(super) caller: &'a Caller,
    pub(super) folder: &'a Path,
    pub(super) out: Output,
    /// What answers now; none where the first build failed.
    pub(super) deployed: Option<Deployed>,
    /// The component the last round built.
    pub(super) made: Option<PathBuf>,
}

impl Author<'_> {
    /// Goes round with every save until it is dropped. `seen` is what the first build began with.
    pub(super) async fn follow(&mut self, mut watch: Watch, mut seen: Snapshot) {
        if seen.cut {
            self.out.note(format!(
                "warning: {} holds more files than are watched: keep what is no source elsewhere",
                self.folder.display()
            ));
        }
        loop {
            // What a build itself writes is no save: else there would be no end of building.
            let locks = ["Cargo.lock", "package-lock.json"].map(|lock| watch.folder().join(lock));
            locks
                .iter()
                .chain(&self.made)
                .for_each(|path| seen.accept(path));
            let now = watch.changed(&seen).await;
            let changes = Changes::of((&seen, &now), watch.folder());
            seen = now;
            if seen.is_empty() {
                self.complain(&Failure::new(
                    "no_project",
                    format!("{} is gone", self.folder.display()),
                ));
            } else if let Err(failure) = self.round(&changes).await {
                self.complain(&failure);
            }
        }
    }

    async fn round(&mut self, changes: &Changes) -> Result<(), Failure> {
        if changes.knowledge {
            let folder = self.folder.join("knowledge");
            agent::read_knowledge(&self.app.knowledge, self.caller, &folder, self.out).await?;
        }
        if !changes.sources {
            return Ok(());
        }
        self.out.note(format!("changed: {}", changes.named));
        let begun = Instant::now();
        let built = build(self.folder, For::Author, self.out).await?;
        let building = begun.elapsed();
        self.made = built.wasm.canonicalize().ok();
        let deployed = agent::deploy(&self.app.agents, self.caller, &built).await?;
        agent::warn(&deployed, self.out);
        let answers = |deployed: &Deployed| (deployed.agent.clone(), deployed.version.number);
        let (name, number) = answers(&deployed);
        if self.deployed.as_ref().map(answers) == Some((name.clone(), number)) {
            self.out.note(format!(
                "the same component: {name} v{number} answers as before"
            ));
        } else {
            self.say(&format!(
                "{name} v{number} answers now: {} after the save, {} of them the build",
                seconds(changes.since_save()),
                seconds(building)
            ));
        }
        self.deployed = Some(deployed);
        Ok(())
    }

    /// Tells why a build or an upload came to nothing, and who answers meanwhile.
    pub(super) fn complain(&self, failure: &Failure) {
        // Its exit code is for a command that ends by it.
        let _ = self.out.failure(failure);
        let still = match &self.deployed {
            Some(deployed) => {
                format!(
                    "{} v{} still answers",
                    deployed.agent, deployed.version.number
                )
            }
            None => "the host runs without it".to_owned(),
        };
        self.say(&format!("{still}; the next save is tried again"));
    }

    /// For people: programs are promised one line.
    fn say(&self, line: &str) {
        if !self.out.is_json() {
            self.out.line(plain::line(line));
        }
    }
}

/// What was saved.
struct Changes {
    /// More than knowledge.
    sources: bool,
    knowledge: bool,
    named: String,
    /// How long before they were looked at the last one was saved.
    age: Duration,
    at: Instant,
}

impl Changes {
    fn of((before, now): (&Snapshot, &Snapshot), folder: &Path) -> Self {
        let (changed, saved) = now.since(before);
        let below: Vec<PathBuf> = changed
            .iter()
            .map(|path| path.strip_prefix(folder).unwrap_or(path).to_owned())
            .collect();
        let is_knowledge = |path: &&PathBuf| path.starts_with("knowledge");
        let named: Vec<_> = below
            .iter()
            .take(NAMED)
            .map(|path| path.display().to_string())
            .collect();
        let mut named = named.join(", ");
        if below.len() > NAMED {
            named.push_str(&format!(" and {} more", below.len() - NAMED));
        }
        let age = saved.and_then(|saved| {
            let clock = std::time::SystemTime::from(Clock::system().now());
            clock.duration_since(saved).ok()
        });
        Self {
            sources: !below.iter().all(|path| is_knowledge(&path)),
            knowledge: below.iter().any(|path| is_knowledge(&path)),
            named: plain::line(&named),
            age: age.unwrap_or_default(),
            at: Instant::now(),
        }
    }

    fn since_save(&self) -> Duration {
        self.age + self.at.elapsed()
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
