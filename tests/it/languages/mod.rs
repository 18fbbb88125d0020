//! Agents in other languages: each template as `init` makes it is built by its own toolchain, deployed and asked; it
//! streams, is cancelled and meets the same limits. Where npm or pip do not work the test says so loudly and is left
//! out, but for machines that must have them: `.ci/run` sets `BULKHEAD_TESTS_LANGUAGES`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hostile;
mod project;
mod talks;

use std::io::Write as _;
use std::time::Instant;

use bulkhead_tests::host::patient;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use self::project::{Project, available};
use crate::cli::program::built;
use crate::cli::verbs::as_client;

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
        // The compiler itself is not optimised here, and shares its cores.
        config.sandbox.compile.wall_s = 600;
        config.sandbox.compile.cpu_s = 600;
        config.sandbox.limits.output_bytes = 100_000;
    })
    .await;
    let client = host.client("acme").await;
    let project = Project::make(language).await;
    project.own_tests(language).await;
    let (cold, warm) = (project.build().await, project.build().await);
    let version = deploy(&host, &client, ("talker", &project)).await;
    assert_eq!(version["manifest"]["name"], project.name());
    let began = Instant::now();
    talks::with_the_offline_model(&client).await;
    let first = began.elapsed();
    let began = Instant::now();
    talks::with_the_offline_model(&client).await;
    let again = began.elapsed();
    say(&format!(
        "{}: build {} ms first, {} ms again; {} bytes; compiled in {} ms; run {first:?} first, {again:?} again\n  {}",
        language.template,
        cold["build_ms"],
        warm["build_ms"],
        version["size_bytes"],
        version["compile_ms"],
        version["imports"],
    ));
    talks::with_a_model(&host, &client).await;
    project.overwrite(language.hostile);
    deploy(&host, &client, ("hostile", &project)).await;
    hostile::meets_every_limit(&host, &client).await;
    host.stop().await;
}

/// Builds and deploys a project; the version.
async fn deploy(host: &TestHost, client: &Client, (agent, project): (&str, &Project)) -> Value {
    let folder = project.folder.to_str().unwrap();
    let words = ["deploy", agent, folder, "--output", "json"];
    let deployed = built(as_client(client, &host.url(), &words)).await;
    assert_eq!(deployed.status, 0, "{deployed:?}");
    let version = deployed.document();
    assert_eq!(version["stable"], json!(true));
    version
}

/// Also where the test runner keeps what tests print.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
