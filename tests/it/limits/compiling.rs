//! Compile bombs: small to send, long to compile. The child that compiles has limits of its own; when it reaches one,
//! the upload is refused and the host goes on.

use bulkhead_tests::TestHost;
use bulkhead_tests::raw::Raw;

use super::components::refused;
use crate::guests;

/// One function in which every block is reached from the same table and changes another local: what is alive at a
/// block's start grows with the blocks before it.
pub(crate) fn bomb(blocks: usize) -> Vec<u8> {
    let locals = "i32 ".repeat(blocks);
    let targets: Vec<String> = (0..blocks).map(|n| n.to_string()).collect();
    let mut body = format!(
        "{} local.get 0 br_table {}",
        "block ".repeat(blocks),
        targets.join(" ")
    );
    for n in 0..blocks {
        let local = n + 1;
        body += &format!("\nend local.get {local} local.get {n} i32.add local.set {local}");
    }
    let fields = format!("(func $bomb (param i32) (local {locals}) {body})");
    Raw {
        fields: &fields,
        ..Raw::default()
    }
    .bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_a_time() {
    let host = TestHost::start_with(|config| config.sandbox.compile.wall_s = 1).await;
    refused(&host, &bomb(4_000), "compile_failed", "longer than 1 s").await;
    host.deploy("acme", "echo", &guests::ECHO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_cpu_time() {
    let host = TestHost::start_with(|config| config.sandbox.compile.cpu_s = 1).await;
    refused(&host, &bomb(4_000), "compile_failed", "more CPU or memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_memory() {
    let host = TestHost::start_with(|config| config.sandbox.compile.memory_bytes = 64 << 20).await;
    refused(&host, &bomb(4_000), "compile_failed", "more CPU or memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_has_a_size() {
    let host = TestHost::start_with(|config| config.sandbox.compile.artifact_bytes = 10_000).await;
    refused(
        &host,
        &bomb(100),
        "compile_failed",
        "larger than 10000 bytes",
    )
    .await;
}
