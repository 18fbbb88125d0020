//! `dev` end to end, the first command of the README: a fresh folder, an answer with its sources, a killed host, a
//! warm start, an end that leaves nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bulkhead::postgres::Options;
use bulkhead::postgres::package::{Package, beside};
use bulkhead_tests::Client;
use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests;
use bulkhead_tests::host::eventually;

use super::program::{Dev, command, ended, run, server};

#[tokio::test]
async fn a_fresh_folder_becomes_an_agent_that_answers() {
    // Built by the harness already, or now; `dev` finds it fresh.
    drop(guests::template("support"));
    let folder = Folder::new();
    let data = folder.join("data");
    let dev = Dev::start(&data, &[]).await;
    assert_eq!((dev.text("org"), dev.text("agent")), ("dev", "support"));
    let key = dev.text("api_key").to_owned();
    assert!(key.starts_with("bh_"));
    private(&data, &["master.key", "dev-key", "dev.json"]);

    let answer = run(&[
        "run",
        "support",
        "how do i stop a run??",
        "--data",
        data.to_str().unwrap(),
    ])
    .await;
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.stdout.contains("bulkhead cancel"), "{answer:?}");
    assert!(
        answer.stdout.contains("\n[1] "),
        "sources are listed: {answer:?}"
    );
    let sums = answer.stderr.lines().last().unwrap();
    assert!(
        sums.starts_with("end_turn · ") && sums.contains(" fuel · "),
        "{sums}"
    );
    assert!(!answer.stdout.contains('\x1b') && !answer.stderr.contains('\x1b'));

    let client = Client::new(dev.text("url"), "dev", &key);
    let metrics = client.get(dev.text("metrics_url")).await;
    assert_eq!(metrics.status, 200, "{}", metrics.text);

    // Killed: the database goes with it, a client is told, and the next start clears what is left.
    let postmaster = server(&data);
    assert!(postmaster.is_some());
    dev.kill().await;
    eventually("the database follows its host", async || {
        server(&data).is_none()
    })
    .await;
    let gone = run(&["runs", "ls", "support", "--data", data.to_str().unwrap()]).await;
    assert!(gone.refusal(2).contains("bulkhead dev"), "{gone:?}");

    let dev = Dev::start(&data, &[]).await;
    assert_eq!(dev.text("api_key"), key, "the same key as before");
    let words = [
        "versions",
        "ls",
        "support",
        "--output",
        "json",
        "--data",
        data.to_str().unwrap(),
    ];
    let versions = run(&words).await.document();
    assert_eq!(
        versions["data"].as_array().unwrap().len(),
        1,
        "the same version as before"
    );
    let words = [
        "doctor",
        "--invariants",
        "--output",
        "json",
        "--data",
        data.to_str().unwrap(),
    ];
    let doctor = run(&words).await;
    assert_eq!(
        (doctor.status, &doctor.document()["ok"]),
        (0, &true.into()),
        "{doctor:?}"
    );

    assert_eq!(dev.stop().await, 0);
    assert_eq!(server(&data), None, "no process is left");
    assert!(!data.join("dev.json").exists());
}

#[tokio::test]
async fn what_it_prints_for_people_works_as_pasted() {
    let folder = Folder::new();
    let data = folder.join("it's data");
    let mut command = command(&[
        "dev",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ]);
    command.args(["--agent", "templates/support"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let (mut curl, mut asking) = (None, None);
    while let Some(line) = lines.next_line().await.unwrap() {
        let line = line.trim_start().to_owned();
        match line.split_whitespace().next() {
            Some("curl") => curl = Some(line),
            Some(_) if line.contains(" run support ") => asking = Some(line),
            _ if asking.is_some() => break,
            _ => {}
        }
    }
    let (curl, asking) = (curl.unwrap(), asking.unwrap());
    assert!(curl.starts_with("curl -N http://127.0.0.1:"), "{curl}");
    assert!(asking.ends_with(r"it'\''s data'"), "quoted: {asking}");
    let mut shell = tokio::process::Command::new("sh");
    let answer = ended({
        shell.args(["-c", &asking]).current_dir(guests::root());
        shell
    })
    .await;
    assert!(
        answer.status == 0 && answer.stdout.contains("[1]"),
        "{answer:?}"
    );
    super::program::send(child.id().unwrap(), nix::sys::signal::Signal::SIGTERM);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

/// Nobody else can read them.
fn private(data: &Path, files: &[&str]) {
    for file in files {
        let mode = data.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "cargo names itself to its tests")]
fn the_first_command_of_the_readme_names_one_program() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let told = std::process::Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(guests::root())
        .output()
        .expect("cargo runs");
    let workspace: serde_json::Value =
        serde_json::from_slice(&told.stdout).expect("cargo tells of the workspace");
    let members = workspace["workspace_default_members"].as_array().unwrap();
    let programs: Vec<&str> = workspace["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .filter_map(|package| package["default_run"].as_str())
        .collect();
    assert_eq!(
        programs,
        ["bulkhead"],
        "`cargo run --release -- dev` at the root would not know what to run"
    );
}

/// A data folder may have come with somebody else's repository.
#[tokio::test]
async fn what_lies_in_a_data_folder_is_not_run_to_look_at_it() {
    let folder = Folder::new();
    let data = folder.join("data");
    let options = Options {
        data: data.clone(),
        path: None,
        folders: Vec::new(),
        durable: false,
    };
    let version = Package::of_this_machine().expect("there is one").version;
    let ran = folder.join("ran");
    let program = format!(
        "#!/bin/sh\ntouch '{}'\necho 'postgres (PostgreSQL) 17.5'\n",
        ran.display()
    );
    let plant = |version: &str| {
        let bin = data.join(format!("postgresql-{version}/native/bin"));
        std::fs::create_dir_all(&bin).unwrap();
        for name in ["postgres", "initdb"] {
            std::fs::write(bin.join(name), &program).unwrap();
            mode(&bin.join(name), 0o755);
        }
        for folder in bin.ancestors().take(3) {
            mode(folder, 0o755);
        }
        bin
    };
    // No other version is anything at all.
    plant("99.0.0");
    assert!(beside(&data).is_empty() && options.look().is_err());
    let bin = plant(version);
    let mut doctor = command(&["doctor", "--data", data.to_str().unwrap()]);
    doctor.env("BULKHEAD_POSTGRES_PATH", "");
    let told = ended(doctor).await;
    assert!(told.stdout.contains("was fetched"), "{told:?}");
    assert!(!ran.exists(), "{told:?}");
    // Where others can write, others may have written.
    for open in bin.ancestors().take(3) {
        mode(open, 0o775);
        assert!(beside(&data).is_empty() && options.look().is_err());
        mode(open, 0o755);
    }
    assert!(!ran.exists());
    assert_eq!(beside(&data), [bin]);
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}
