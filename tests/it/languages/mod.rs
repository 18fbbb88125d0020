//! Agents in other languages: each template as `init` makes it is built by its own toolchain, deployed and asked; it
//! streams, is cancelled and meets the same limits. Where npm or pip do not work the test says so loudly and is left
//! out, but for machines that must have them: `.ci/run` sets `BULKHEAD_TESTS_LANGUAGES`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hostile;
mod project;
mod talks;

use std::io::Write as _;
use std::time::{Duration, Instant};

use bulkhead_tests::client::send;
use bulkhead_tests::host::patient;
use bulkhead_tests::{Client, TestHost};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use self::project::{Project, available};

/// The compiler itself is not optimised here, and shares its cores with whatever else is built.
const COMPILED_WITHIN: Duration = Duration::from_secs(900);

/// A template and the toolchain it is built with.
#[derive(Debug)]
pub(crate) struct Language {
    template: &'static str,
    /// Where packages are installed; kept from one run of the tests to the next.
    kept: &'static str,
    lock: &'static str,
    /// Asks the registry for what the template is built with.
    registry: &'static [&'static str],
    /// Its own tests.
    tests: &'static [&'static str],
    /// A file of it, and what a hostile author puts there.
    hostile: (&'static str, &'static str),
    /// How one ends that hoards memory until there is no more.
    hoards: (&'static str, &'static str, &'static str),
}

const JAVASCRIPT: Language = Language {
    template: "js-chat",
    kept: "node_modules",
    lock: "package-lock.json",
    registry: &[
        "npm",
        "view",
        "@bytecodealliance/componentize-js",
        "version",
    ],
    tests: &["npm", "test", "--silent"],
    hostile: ("src/agent.js", include_str!("hostile/agent.js")),
    // The engine throws, and has memory left for that.
    hoards: ("trap", "guest", "unreachable"),
};

const PYTHON: Language = Language {
    template: "py-chat",
    kept: ".venv",
    lock: "requirements.txt",
    registry: &[
        "python3",
        "-m",
        "pip",
        "index",
        "versions",
        "componentize-py",
    ],
    tests: &["python3", "-m", "unittest", "discover", "-s", "test"],
    hostile: ("src/main.py", include_str!("hostile/main.py")),
    hoards: (
        "memory",
        "limit",
        "the memory limit was reached (`memory_bytes`)",
    ),
};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_javascript() {
    an_agent_in(&JAVASCRIPT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_python() {
    an_agent_in(&PYTHON).await;
}

/// The story of a template, from `init` to its hostile twin.
async fn an_agent_in(language: &Language) {
    if !available(language).await {
        return;
    }
    let host = TestHost::start_with(|config| {
        patient(config);
        config.sandbox.compile.wall_s = COMPILED_WITHIN.as_secs();
        config.sandbox.compile.cpu_s = COMPILED_WITHIN.as_secs();
        config.agents.describe_ms = 60_000;
        config.sandbox.limits.output_bytes = 100_000;
    })
    .await;
    let client = host.client("acme").await;
    let project = Project::make(language).await;
    project.own_tests(language).await;
    let built = project.build().await;
    let version = deploy(&client, ("talker", &built)).await;
    assert_eq!(version["manifest"]["name"], project.name());
    let mut runs = Vec::new();
    for _ in 0..2 {
        let began = Instant::now();
        talks::with_the_offline_model(&client).await;
        runs.push(began.elapsed());
    }
    say(&format!(
        "{}: built in {} ms; {} bytes; compiled in {} ms; runs {runs:?}; imports {}",
        language.template,
        built["build_ms"],
        version["size_bytes"],
        version["compile_ms"],
        version["imports"],
    ));
    talks::with_a_model(&host, &client).await;
    project.overwrite(language.hostile);
    let built = project.build().await;
    say(&format!(
        "{}: built again in {} ms",
        language.template, built["build_ms"]
    ));
    deploy(&client, ("hostile", &built)).await;
    hostile::meets_every_limit(&host, &client, language).await;
    host.stop().await;
}

/// Deploys what was built; the version.
async fn deploy(client: &Client, (agent, built): (&str, &Value)) -> Value {
    let component = std::fs::read(built["component"].as_str().unwrap()).unwrap();
    let path = format!("/agents/{agent}/versions");
    let upload = client.request(Method::POST, &path).timeout(COMPILED_WITHIN);
    let upload = upload.header(CONTENT_TYPE, "application/wasm");
    let version = send(upload.body(component.clone())).await;
    assert_eq!(version.status, 201, "{}", version.text);
    client.deploy(agent, &component).await;
    version.json()
}

/// Also where the test runner keeps what tests print.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
