//! The pages that lead by the hand: the five-minute path is walked as it stands, and every command has its section.

use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests;

use super::program::{built, command, run};

/// Starts `dev` on a free port beside the script, and waits until it is ready.
const DEV: &str = "touch ../dev.out; bulkhead dev --listen 127.0.0.1:0 > ../dev.out 2> ../dev.err & dev=$!\n\
     trap 'kill -INT $dev; wait $dev; cat ../dev.out ../dev.err >&2' EXIT\n\
     until grep -q 'Ctrl-C stops it' ../dev.out; do kill -0 $dev; sleep 0.1; done\n";
/// What a person waits for after a save: the next line of the kind.
const SAVED: &str = "until grep -q 'answers now' ../dev.out; do kill -0 $dev; sleep 0.1; done\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_five_minute_path_is_walked_as_it_stands() {
    let page = std::fs::read_to_string(guests::root().join("docs/getting-started.md")).unwrap();
    let mut script = String::new();
    let blocks = page.split("```sh path\n").skip(1);
    for line in blocks.flat_map(|rest| rest.split("```").next().unwrap().lines()) {
        match line {
            "bulkhead dev" => script.push_str(DEV),
            line => script.push_str(&format!("{line}\n")),
        }
        if line.starts_with("sed ") {
            script.push_str(SAVED);
        }
    }
    for verb in ["init", "dev", "run", "deploy", "promote"] {
        assert!(script.contains(&format!("bulkhead {verb} ")), "{verb}");
    }
    let folder = Folder::new();
    let program = command(&[]);
    let program = program.as_std().get_program().to_owned();
    std::os::unix::fs::symlink(program, folder.join("bulkhead")).unwrap();
    let mut shell = tokio::process::Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c"])
        .arg(format!("PATH=\"$PWD:$PATH\"\n{script}"))
        .current_dir(&*folder)
        .env("CARGO_TARGET_DIR", guests::root().join("target"));
    for name in [
        "DATABASE_URL",
        "RUSTFLAGS",
        "BULKHEAD_URL",
        "BULKHEAD_ORG",
        "BULKHEAD_API_KEY",
    ] {
        shell.env_remove(name);
    }
    let walked = built(shell).await;
    assert_eq!(
        walked.status, 0,
        "{script}\n{}\n{}",
        walked.stdout, walked.stderr
    );
    // Asked twice in one conversation, of two versions; then of the promoted one.
    for turn in [
        "greeter v1 · end_turn",
        "greeter v2 · end_turn",
        "greeter v3 · end_turn",
    ] {
        assert!(walked.stderr.contains(turn), "{turn}: {}", walked.stderr);
    }
    assert!(
        walked.stderr.contains("greeting"),
        "the change is seen: {}",
        walked.stderr
    );
}

#[tokio::test]
async fn every_command_has_its_section_and_an_example() {
    let page = std::fs::read_to_string(guests::root().join("docs/commands.md")).unwrap();
    let help = run(&["--help"]).await.stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let mut verbs: Vec<&str> = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    for verb in &verbs {
        let section = page.split(&format!("\n## bulkhead {verb}\n")).nth(1);
        let section =
            section.unwrap_or_else(|| panic!("docs/commands.md has no section of {verb}"));
        let section = section.split("\n## ").next().unwrap();
        // What runs until it is stopped is started by tests of its own.
        let long = ["dev", "serve"].contains(verb);
        let fence = if long { "```sh\n" } else { "```sh test\n" };
        let example = section
            .split(fence)
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        let example = example.unwrap_or_else(|| panic!("{verb} has no example that a test runs"));
        assert!(
            example.contains(&format!("bulkhead {verb}")),
            "{verb}: {example}"
        );
    }
    let mut told: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## bulkhead "))
        .collect();
    verbs.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, verbs, "left: docs/commands.md, right: the program");
}
