//! Replays of runs that have ended: on their own version nothing differs, whatever ended them; on another one what
//! differs is told; what does not fit is refused.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; figures are printed"
)]

mod ends;
mod many;
mod recorded;
mod refused;
mod versions;

use bulkhead_tests::Client;
use bulkhead_tests::client::Answer;
use serde_json::{Value, json};

/// Asks for a replay.
pub(crate) async fn replay(client: &Client, agent: &str, run: &str, body: &Value) -> Answer {
    client
        .post(&format!("/agents/{agent}/runs/{run}/replay"), body)
        .await
}

/// Replays a run on its own version, which must tell no difference; the report.
pub(crate) async fn is_the_same(client: &Client, agent: &str, run: &str) -> Value {
    let answer = replay(client, agent, run, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let report = answer.json();
    assert_eq!(report["differences"], json!([]), "{agent} {run}: {report}");
    assert_eq!(report["same"], true);
    let (recorded, replayed) = (&report["recorded"], &report["replayed"]);
    for fact in ["version", "state", "stop_reason", "fault", "output"] {
        assert_eq!(recorded[fact], replayed[fact], "{report}");
    }
    report
}

/// The differences of a report, by what differs.
fn told(report: &Value) -> Vec<&str> {
    let differences = report["differences"].as_array().unwrap();
    differences
        .iter()
        .map(|difference| difference["what"].as_str().unwrap())
        .collect()
}

fn input(instructions: &str) -> Value {
    json!({ "input": instructions })
}
