//! Every mutating operation leaves a row in the audit log when it is done and when it is refused; one that is neither
//! privileged nor named here fails.

use bulkhead::audit::privileged;
use bulkhead_tests::client::send;
use serde_json::{Value, json};

use super::{OPERATIONS, Operation, World};
use crate::audit::key;
use crate::guests;

/// What changes nothing that an organization would hold against anybody, and why.
const UNPRIVILEGED: &[(&str, &str)] = &[
    // A run has its own log and usage row; its start is the hot path.
    ("POST", "/v1/orgs/{org}/agents/{agent}/runs"),
    // Signed by the payment provider, not asked by a key: its own tests look at its rows.
    ("POST", super::STRIPE),
    // They are the key's own, or hidden by an admin, and an archived one is kept whole.
    ("POST", "/v1/orgs/{org}/agents/{agent}/conversations"),
    (
        "DELETE",
        "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}",
    ),
    // They read.
    ("POST", "/v1/orgs/{org}/knowledge/search"),
    ("POST", "/v1/orgs/{org}/guardrails/check"),
];

fn mutating() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().filter(|operation| {
        operation.0 != "GET" && !UNPRIVILEGED.contains(&(operation.0, operation.1))
    })
}

impl World {
    /// The newest row of the log.
    async fn newest(&self) -> Value {
        let rows = self.client.get("/audit/actions?limit=1").await.json();
        rows["data"][0].clone()
    }

    /// Makes what the operation needs to change anything.
    async fn prepare(&mut self, operation: &Operation) {
        self.refill().await;
        match (operation.0, operation.1) {
            // The same bytes again are no new version.
            ("POST", "/v1/orgs/{org}/agents/{agent}/versions") => {
                self.names.insert("agent", "another".to_owned());
            }
            ("POST", "/v1/orgs/{org}/knowledge/entries") => {
                let path = format!("/knowledge/entries/{}", self.names["entry"]);
                assert_eq!(self.client.delete(&path).await.status, 204);
            }
            // One that is there already is not added.
            ("POST", "/v1/orgs/{org}/publisher-keys") => {
                let path = format!("/publisher-keys/{}", self.names["publisher"]);
                assert_eq!(self.client.delete(&path).await.status, 200);
            }
            // Only a run that goes on is cancelled.
            ("POST", "/v1/orgs/{org}/agents/{agent}/runs/{run}/cancel") => {
                self.host.deploy("acme", "spin", &guests::SPIN).await;
                let run = self.client.start("spin", &json!({ "input": "x" })).await;
                self.names.insert("agent", "spin".to_owned());
                self.names.insert("run", run);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutating_operation_leaves_an_action() {
    let mut world = World::new().await;
    for operation in mutating() {
        let asked = privileged::action(operation.0, operation.1);
        let asked =
            asked.unwrap_or_else(|| panic!("{operation:?} is not in audit/refusals/privileged.rs"));
        let names = world.names.clone();
        world.prepare(operation).await;
        let before = world.newest().await;
        let answer = send(world.request(&world.client, operation)).await;
        assert!(answer.status.is_success(), "{operation:?}: {}", answer.text);
        let row = world.newest().await;
        let what = format!("{operation:?}: {row}");
        assert!(row["seq"].as_i64() > before["seq"].as_i64(), "{what}");
        assert_eq!(row["status"], "done", "{what}");
        // A put may make or replace.
        let kind = |action: &str| action.split('.').next().unwrap().to_owned();
        let done = row["action"].as_str().unwrap();
        assert_eq!(kind(done), kind(asked.as_str()), "{what}");
        assert_eq!(row["actor"]["kind"], "key", "{what}");
        let header = answer.headers["x-request-id"].to_str().unwrap();
        assert_eq!(row["request_id"], header, "{what}");
        assert_eq!(row["ip"], "127.0.0.1", "{what}");
        world.names = names;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutating_operation_leaves_its_refusals() {
    let world = World::new().await;
    let (reader, id) = key(&world.client, &["read"]).await;
    let foreign = world.host.client("globex").await;
    for operation in mutating() {
        let asked = privileged::action(operation.0, operation.1).unwrap();
        assert_eq!(send(world.request(&reader, operation)).await.status, 403);
        let row = world.newest().await;
        assert_eq!(row["action"], asked.as_str(), "{operation:?}: {row}");
        assert_eq!(
            (&row["status"], &row["code"]),
            (&json!("refused"), &json!("forbidden"))
        );
        assert_eq!(row["actor"]["id"], json!(id), "{operation:?}");
        assert_eq!(
            row["target"]["id"],
            json!(world.fill(operation.1)),
            "{operation:?}"
        );
        assert_eq!(send(world.request(&foreign, operation)).await.status, 404);
        let theirs = foreign
            .get("/v1/orgs/globex/audit/actions?limit=1")
            .await
            .json();
        let theirs = &theirs["data"][0];
        assert_eq!(
            (&theirs["action"], &theirs["code"]),
            (&json!(asked.as_str()), &json!("not_found"))
        );
    }
    world.end().await;
}
