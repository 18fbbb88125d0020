//! Several hosts on one database: each event is fanned out once, and a host that is killed in the middle of a POST
//! loses nothing and sends that one twice at most, under the same id.

use std::collections::BTreeMap;
use std::process::Stdio;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::{MASTER_KEY, program};
use bulkhead_tests::receiver::How;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{Endpoint, machine_time, seconds, world_with};
use crate::guests;

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_send_each_event_once() {
    let (host, client, receiver) = world_with(15_000).await;
    let other = host.join().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let mut endpoints = Vec::new();
    for n in 0..4 {
        let url = receiver.url(&format!("/{n}"));
        endpoints.push(Endpoint::make(&client, &url, &["agent_run.completed"]).await);
    }
    for _ in 0..10 {
        client.run("echo", &json!({ "input": "x" })).await;
    }
    while receiver.got().len() < 40 {
        tokio::join!(host.run_jobs(), other.run_jobs(), other.run_jobs());
    }
    for endpoint in &endpoints {
        endpoint.free(&host).await;
        let deliveries = endpoint.deliveries().await;
        assert_eq!(deliveries.len(), 10);
        assert!(
            deliveries
                .iter()
                .all(|d| d["attempts"] == 1 && d["state"] == "delivered")
        );
    }
    tokio::join!(host.run_jobs(), other.run_jobs());
    let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
    for got in receiver.got() {
        *times.entry((got.path.clone(), got.id())).or_default() += 1;
    }
    assert_eq!(times.len(), 40);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    other.stop().await;
    host.stop().await;
}

#[expect(clippy::print_stdout, reason = "a figure that is not asserted")]
#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_in_the_middle_of_a_post_loses_nothing() {
    let (host, client, receiver) = world_with(15_000).await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let first = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &first, 1).await;
    let folder = Folder::new();
    let key: String = MASTER_KEY
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut child = Command::new(program())
        .args(["serve", "--output", "json"])
        .env_clear()
        .env("DATABASE_URL", host.database_url())
        .env("BULKHEAD_MASTER_KEY", key)
        .env("BULKHEAD__LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__METRICS_LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__EGRESS__ALLOW", "[\"127.0.0.0/8\"]")
        .env("BULKHEAD__EGRESS__HTTP", "true")
        .env("BULKHEAD__DATA", &*folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert!(ready["url"].is_string());
    // Up to four hang in the process, the rest wait behind them. Its clock is the machine's, which is as good.
    receiver.always(How::Silent);
    let mut sent = Vec::new();
    machine_time(&host);
    for _ in 0..6 {
        sent.push(endpoint.test().await);
    }
    receiver.arrived(2).await;
    child.kill().await.unwrap();
    receiver.always(How::Status(200));
    host.run_jobs().await;
    let held = receiver.got().len();
    // Its lease ends with time.
    host.clock().advance(seconds(120));
    host.run_jobs().await;
    for event in &sent {
        let delivery = endpoint.tried(&host, event, 1).await;
        assert_eq!(delivery["state"], "delivered");
    }
    let got = receiver.got();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for one in &got[1..] {
        *times.entry(one.id()).or_default() += 1;
    }
    assert_eq!(times.len(), sent.len(), "nothing is lost");
    let twice = times.values().filter(|times| **times == 2).count();
    assert!(times.values().all(|times| *times <= 2), "{times:?}");
    println!(
        "killed with {} in flight: {twice} of {} came twice",
        held - 1,
        sent.len()
    );
    assert_eq!(twice, held - 1, "only what was in flight");
    host.stop().await;
}
