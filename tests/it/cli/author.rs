//! The author's loop: what is saved answers soon, in the conversation that goes on; what does not build is told as the
//! compiler tells it while the version before answers; nothing that is saved is lost.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bulkhead_tests::client::text;
use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, guests};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::program::{built, command, ended, send};

/// A cold build on a busy machine.
const HEARD_WITHIN: Duration = Duration::from_secs(900);
/// Saves that are measured.
const SAVES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_save_takes_the_place_of_the_version_before() {
    let mut author = Author::begin("saver").await;
    let client = author.client().await;
    let conversation = client.converse("saver").await;
    assert_eq!(author.ask(&client, &conversation).await, "one");
    author.hears("saver v1 · end_turn · ").await;
    let turn = author.heard.last().unwrap().clone();
    for word in [" fuel · ", "iB · ", "0+0 tokens · ", " ms"] {
        assert!(turn.contains(word), "{word}: {turn}");
    }

    author.save("two");
    author.hears("saver v2 answers now: ").await;
    assert_eq!(
        author.ask(&client, &conversation).await,
        "two",
        "it goes on with what was saved"
    );
    author.hears("saver v2 · end_turn · ").await;

    // As the compiler writes it; whoever asks meanwhile is answered.
    author.write("src/lib.rs", &author.agent("two").replace("\"two\"", "2"));
    author.hears("saver v2 still answers").await;
    let said = author.stderr();
    assert!(
        said.contains("error[E0308]: mismatched types") && said.contains("--> src/lib.rs:"),
        "{said}"
    );
    assert_eq!(author.ask(&client, &conversation).await, "two");
    author.save("three");
    author.hears("saver v3 answers now").await;
    assert_eq!(author.ask(&client, &conversation).await, "three");

    // The same bytes again are no new version.
    author.save("two");
    author.hears("saver v2 answers now").await;

    // Built and refused.
    let refused = author
        .agent("four")
        .replace("#[agent]", "#[agent(guardrails = [\"max_tokens=lots\"])]");
    author.write("src/lib.rs", &refused);
    author.hears("saver v2 still answers").await;
    assert!(
        author.stderr().contains("error: Change the guardrails"),
        "{}",
        author.stderr()
    );

    // Another name in the manifest is another agent.
    author.save("five");
    author.hears("saver v4 answers now").await;
    let manifest = author.read("Cargo.toml");
    author.write(
        "Cargo.toml",
        &manifest.replacen("\"saver\"", "\"saver-two\"", 1),
    );
    author.hears("saver-two v1 answers now").await;
    author.write("Cargo.toml", &manifest);
    author.hears("saver v4 answers now").await;

    author.write("knowledge/hours.md", "# Hours\n\nOpen from nine to five.\n");
    eventually("what is saved to the knowledge is found", async || {
        client
            .get("/knowledge/entries")
            .await
            .text
            .contains("hours.md")
    })
    .await;
    assert_eq!(author.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_save_is_lost() {
    let mut author = Author::begin("keeper").await;
    let client = author.client().await;
    // Many at once are one round, or a few where they take long.
    for n in 0..30 {
        author.save(&format!("burst {n}"));
        tokio::task::yield_now().await;
    }
    author.answers(&client, "burst 29").await;
    let versions = versions(&client, author.name).await;
    assert!(versions <= 4, "{versions} versions of a burst");

    // While it is being built.
    let changed = || author.stderr().matches("changed: src/lib.rs").count();
    let before = changed();
    author.save("early");
    eventually("a round begins", async || changed() > before).await;
    author.save("late");
    author.answers(&client, "late").await;

    // What tools and editors leave is no save.
    let rounds = author.stderr().matches("changed: ").count();
    for path in [
        "target/x.rlib",
        ".git/index",
        "src/.lib.rs.swp",
        "src/lib.rs~",
        ".bulkhead/x",
    ] {
        author.write(path, "noise");
    }
    author.save("after the noise");
    author.answers(&client, "after the noise").await;
    let said = author.stderr();
    // One round more, or none where the round of the save before saw it too.
    assert!(said.matches("changed: ").count() <= rounds + 1, "{said}");
    let mut named = said.lines().filter(|line| line.starts_with("changed: "));
    assert!(named.all(|line| line == "changed: src/lib.rs"), "{said}");

    // The folder goes and comes back, as with a branch that has it not.
    let away = author.project.with_extension("away");
    std::fs::rename(&author.project, &away).unwrap();
    author.hears("still answers").await;
    assert!(author.stderr().contains("is gone"), "{}", author.stderr());
    assert_eq!(author.once(&client).await, "after the noise");
    std::fs::rename(&away, &author.project).unwrap();
    author.save("back");
    author.answers(&client, "back").await;

    // Stopped in the middle of a build: nothing goes on building.
    let before = author.stderr().matches("changed: src/lib.rs").count();
    author.save("never");
    eventually("a round begins", async || {
        author.stderr().matches("changed: src/lib.rs").count() > before
    })
    .await;
    let project = author.project.canonicalize().unwrap();
    assert_eq!(author.stop().await, 0);
    eventually("no build outlives it", async || !works_in(&project)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_build_that_fails_is_waited_for() {
    let folder = Folder::new();
    let mut author = Author::make(folder, "starter").await;
    let whole = author.read("src/lib.rs");
    author.write("src/lib.rs", &whole.replace("\"one\"", "1"));
    // Programs are told by the exit code.
    let mut once = author.command(&["--output", "json"]);
    once.stdin(Stdio::null());
    let refused = built(once).await;
    assert_eq!(
        (refused.status, refused.stdout.as_str()),
        (1, ""),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("\"build_failed\""), "{refused:?}");

    author.start().await;
    assert!(
        author
            .heard
            .iter()
            .any(|line| line.contains("the host runs without it"))
    );
    assert!(
        author.stderr().contains("error[E0308]"),
        "{}",
        author.stderr()
    );
    author.write("src/lib.rs", &whole);
    author.hears("starter v1 answers now").await;
    let client = author.client().await;
    assert_eq!(author.once(&client).await, "one");
    assert_eq!(author.stop().await, 0);
}

/// Printed, not asserted: how long a save takes until it answers.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "figures are printed")]
async fn how_soon_a_save_answers() {
    let begun = std::time::Instant::now();
    let mut author = Author::begin("racer").await;
    let ready = begun.elapsed();
    let client = author.client().await;
    let asked = std::time::Instant::now();
    assert_eq!(author.once(&client).await, "one");
    let turn = asked.elapsed();
    let mut took = Vec::new();
    for n in 0..SAVES {
        let saved = std::time::Instant::now();
        author.save(&format!("save {n}"));
        author.hears("answers now: ").await;
        took.push(saved.elapsed());
        assert_eq!(author.once(&client).await, format!("save {n}"));
    }
    took.sort_unstable();
    let (median, most) = (took[SAVES / 2], took[SAVES - 1]);
    eprintln!(
        "save to swapped over {SAVES} saves: median {median:.2?}, max {most:.2?}; \
         start with the first build {ready:.1?}, first turn {turn:.0?}"
    );
    assert_eq!(author.stop().await, 0);
}

/// A `dev` on a project of its own, as an author has it.
struct Author {
    running: Option<(Child, Lines<BufReader<ChildStdout>>)>,
    heard: Vec<String>,
    /// Its own for each test: what cargo makes is called like it, in a folder they share.
    name: &'static str,
    project: PathBuf,
    folder: Folder,
}

impl Author {
    async fn begin(name: &'static str) -> Self {
        let mut author = Self::make(Folder::new(), name).await;
        author.start().await;
        author
    }

    /// The project alone.
    async fn make(folder: Folder, name: &'static str) -> Self {
        let project = folder.join(name);
        let mut init = command(&["init", name, "--template", "chat"]);
        init.current_dir(&*folder);
        assert_eq!(ended(init).await.status, 0);
        std::fs::write(project.join("src/lib.rs"), agent(name, "one")).unwrap();
        Self {
            running: None,
            heard: Vec::new(),
            name,
            project,
            folder,
        }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut dev = command(&[&["dev", "--listen", "127.0.0.1:0"], more].concat());
        dev.current_dir(&self.project)
            .env("CARGO_TARGET_DIR", guests::root().join("target"));
        dev
    }

    async fn start(&mut self) {
        let log = std::fs::File::create(self.folder.join("stderr")).unwrap();
        let mut dev = self.command(&[]);
        dev.stdout(Stdio::piped()).stderr(log);
        let mut child = dev.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.running = Some((child, lines));
        self.hears("Ctrl-C stops it.").await;
    }

    /// Reads what it prints until a line has these words.
    async fn hears(&mut self, words: &str) {
        loop {
            let (_, lines) = self.running.as_mut().unwrap();
            let line = timeout(HEARD_WITHIN, lines.next_line()).await;
            let line = line.expect("it is said in time").unwrap();
            let line = line.unwrap_or_else(|| {
                panic!(
                    "it ended without {words:?}: {:?}\n{}",
                    self.heard,
                    self.stderr()
                )
            });
            let found = line.contains(words);
            self.heard.push(line);
            if found {
                return;
            }
        }
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("stderr")).unwrap()).into_owned()
    }

    async fn client(&self) -> Client {
        let running = std::fs::read(self.project.join(".bulkhead/dev.json")).unwrap();
        let running: serde_json::Value = serde_json::from_slice(&running).unwrap();
        let text = |field: &str| running[field].as_str().unwrap().to_owned();
        Client::new(&text("url"), "dev", &text("api_key"))
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.project.join(path)).unwrap()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.project.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn save(&self, says: &str) {
        self.write("src/lib.rs", &self.agent(says));
    }

    fn agent(&self, says: &str) -> String {
        agent(self.name, says)
    }

    async fn ask(&self, client: &Client, conversation: &str) -> String {
        let body = json!({ "input": "hello", "conversation_id": conversation });
        text(&client.run(self.name, &body).await)
    }

    async fn once(&self, client: &Client) -> String {
        text(&client.run(self.name, &json!({ "input": "hello" })).await)
    }

    /// Reads what it prints until the agent says this.
    async fn answers(&mut self, client: &Client, says: &str) {
        while self.once(client).await != says {
            self.hears(" answers").await;
        }
    }

    async fn stop(mut self) -> i32 {
        let (child, lines) = self.running.as_mut().unwrap();
        send(child.id().unwrap(), Signal::SIGINT);
        // What it still prints has a reader to the end.
        while let Ok(Some(_)) = lines.next_line().await {}
        child.wait().await.unwrap().code().unwrap_or(-1)
    }
}

fn agent(name: &str, says: &str) -> String {
    format!(
        "//! Says one thing.\nuse bulkhead_sdk::{{Outcome, Result, Turn, agent, output}};\n\n/// Says one thing.\n#[agent]\n\
         pub fn {name}(_turn: Turn) -> Result<Outcome> {{\n    output::text(\"{says}\");\n    Ok(Outcome::EndTurn)\n}}\n"
    )
}

async fn versions(client: &Client, agent: &str) -> usize {
    let versions = client
        .get(&format!("/agents/{agent}/versions"))
        .await
        .json();
    versions["data"].as_array().unwrap().len()
}

fn works_in(folder: &Path) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut processes =
        entries.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    processes.any(|cwd| cwd == folder)
}
