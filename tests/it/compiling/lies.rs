//! What comes back from a program that is not the one that was started, or not all of it: nothing of it is believed,
//! and nothing of that program is left.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead::sandbox::compile::{Artifacts, Failed, in_child};
use bulkhead_tests::folder::{Folder, set_mode};
use bulkhead_tests::host::{eventually, program};
use bulkhead_tests::raw::Raw;

use super::{processes, sandbox};

/// A program that does what the lines say.
fn impostor(folder: &Folder, name: &str, lines: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("the folder is ours");
    set_mode(&path, 0o755);
    path
}

/// What a real child answers when the nonce is all zeros.
fn recorded(component: &[u8]) -> Vec<u8> {
    let order = format!(
        "{{\"parent\":{},\"engine\":{{\"guests\":1}}}}",
        std::process::id()
    );
    let mut child = Command::new(program())
        .args(["compile-component", &order])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut pipe = child.stdin.take().expect("it is piped");
    pipe.write_all(&[0; 32])
        .and_then(|()| pipe.write_all(component))
        .expect("it reads");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_compiled_are_refused() {
    let folder = Folder::new();
    let component = Raw::default().bytes();
    let answer = recorded(&component);
    assert!(answer.len() > 10_000, "it compiled something");
    std::fs::write(folder.join("answer"), &answer).expect("the folder is ours");
    let kept = folder.join("answer").display().to_string();
    let read = "cat >/dev/null;";
    let (sandbox, mark) = sandbox(|config| {
        config.compile.artifact_bytes = 1 << 20;
        config.compile.wall_s = 2;
    });
    let lied: fn(&Failed) -> bool = |failed| matches!(failed, Failed::Lied);
    let late: fn(&Failed) -> bool = |failed| matches!(failed, Failed::TooSlow(2));
    let large: fn(&Failed) -> bool = |failed| matches!(failed, Failed::TooLarge(_));
    let much: fn(&Failed) -> bool = |failed| matches!(failed, Failed::TooMuch);
    for (what, lines, expected) in [
        ("nothing", read.to_owned(), lied),
        ("garbage", format!("{read} echo garbage"), lied),
        (
            "much_garbage",
            format!("{read} head -c 100000 /dev/urandom"),
            lied,
        ),
        ("an_old_answer", format!("{read} cat '{kept}'"), lied),
        (
            "half_an_answer",
            format!("{read} head -c 5000 '{kept}'"),
            lied,
        ),
        ("without_reading", "echo garbage".to_owned(), lied),
        (
            "without_end",
            "while :; do echo garbage; done".to_owned(),
            large,
        ),
        ("silence", "sleep 1000".to_owned(), late),
        // Its child keeps the pipe open and has its arguments from nobody: it is found by the group it is killed with.
        (
            "a_child_of_its_own",
            format!("sh -c 'sleep 1000; : {mark}' & {read} exit 0"),
            late,
        ),
        ("an_unknown_status", format!("{read} exit 3"), much),
    ] {
        let program = impostor(&folder, what, &lines);
        let failed = in_child(&program, &sandbox, &component)
            .await
            .expect_err(what);
        assert!(expected(&failed), "{what}: {failed:?}");
        // A grandchild is killed with the group, and reaped by whom it was left to.
        eventually(what, async || processes(&mark).is_empty()).await;
    }
    let missing = in_child(Path::new("/no/such/program"), &sandbox, &component).await;
    assert!(matches!(missing, Err(Failed::Host(_))), "{missing:?}");
    // The right program is believed, and what it made can be loaded.
    let made = in_child(&program(), &sandbox, &component).await;
    let made = made.unwrap_or_else(|failed| panic!("{failed}"));
    let artifacts = Artifacts::open(folder.join("artifacts"), b"key", &sandbox).expect("a folder");
    artifacts
        .keep(sandbox.engine(), &[7; 32], &made)
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert!(artifacts.load(sandbox.engine(), &[7; 32]).is_some());
}
