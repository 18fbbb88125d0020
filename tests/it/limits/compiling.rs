//! Compile bombs: small to send, long to compile. The child that compiles has limits of its own; when it reaches one,
//! the upload is refused and the host goes on.

use bulkhead_tests::TestHost;
use bulkhead_tests::raw::Raw;

use super::components::refused;
use crate::guests;

/// One function of so many instructions, each of which depends on those before.
fn bomb(instructions: usize) -> Vec<u8> {
    let body = "(local.set $i (i32.add (i32.mul (local.get $i) (local.get $n)) (local.get 0)))
        (local.set $n (i32.rotl (local.get $n) (local.get $i)))";
    let run = format!("{} (i32.const 512)", body.repeat(instructions / 8));
    Raw { run: &run, ..Raw::default() }.bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_a_time() {
    let host = TestHost::start_with(|config| config.sandbox.compile.wall_s = 1).await;
    refused(&host, &bomb(2_000_000), "compile_failed", "longer than 1 s").await;
    host.deploy("acme", "echo", &guests::ECHO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_cpu_time() {
    let host = TestHost::start_with(|config| config.sandbox.compile.cpu_s = 1).await;
    refused(&host, &bomb(2_000_000), "compile_failed", "more CPU or memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compiling_has_memory() {
    let host = TestHost::start_with(|config| config.sandbox.compile.memory_bytes = 64 << 20).await;
    refused(&host, &bomb(2_000_000), "compile_failed", "more CPU or memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_has_a_size() {
    let host = TestHost::start_with(|config| config.sandbox.compile.artifact_bytes = 10_000).await;
    refused(&host, &bomb(20_000), "compile_failed", "larger than 10000 bytes").await;
}
