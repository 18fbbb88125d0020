//! Limits that an organization or a version was given: the value that binds, where it comes from, how much it may be,
//! and that a run keeps what it was started with.

use bulkhead::limits::kinds;
use bulkhead_tests::TestHost;
use bulkhead_tests::host::eventually;
use bulkhead_tests::raw::Raw;
use serde_json::{Value, json};

use super::{SPIN, deploy, ends};
use crate::guests;

const OF_ORG: &str = "/limits";
const OF_VERSION: &str = "/agents/spin/versions/1/limits";
const OUT_OF_FUEL: (&str, &str, &str) = ("fuel", "limit", "the fuel limit was used up");

/// Fuel low enough that a test can use it up, for every agent of `acme`.
async fn host_with_spin() -> TestHost {
    let host = TestHost::start_with(|config| config.sandbox.limits.fuel = 9_000_000).await;
    let spin = Raw {
        run: SPIN,
        ..Raw::default()
    };
    deploy(&host, "spin", spin).await;
    host
}

async fn put(host: &TestHost, path: &str, limits: Value) -> Value {
    let answer = host.client("acme").await.put(path, &limits).await;
    assert_eq!(answer.status, 200, "{limits}: {}", answer.text);
    answer.json()
}

async fn shown(host: &TestHost, path: &str) -> Value {
    let answer = host.client("acme").await.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn is(limit: &Value, value: u64, source: &str, maximum: u64) {
    let is = (&limit["value"], &limit["source"], &limit["maximum"]);
    assert_eq!(is, (&json!(value), &json!(source), &json!(maximum)));
}

/// Runs the spinner until its fuel is used up, and says how much it was.
async fn spent(host: &TestHost) -> Value {
    let run = ends(host, "spin", &json!({ "input": "x" }), OUT_OF_FUEL).await;
    run["usage"]["fuel"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_the_versions_then_the_organizations_then_the_hosts() {
    let host = host_with_spin().await;
    let all = shown(&host, OF_ORG).await;
    is(&all["fuel"], 9_000_000, "host", 9_000_000);
    for kind in kinds() {
        assert_eq!(all[kind.name]["source"], "host", "{}", kind.name);
        assert!(all[kind.name]["value"].as_u64() > Some(0), "{}", kind.name);
    }
    assert_eq!(spent(&host).await, 9_000_000);

    let org = put(&host, OF_ORG, json!({ "fuel": 5_000_000 })).await;
    is(&org["fuel"], 5_000_000, "org", 9_000_000);
    is(
        &shown(&host, OF_VERSION).await["fuel"],
        5_000_000,
        "org",
        5_000_000,
    );
    assert_eq!(spent(&host).await, 5_000_000, "at once");

    let version = put(
        &host,
        OF_VERSION,
        json!({ "fuel": 4_000_000, "handles": 7 }),
    )
    .await;
    is(&version["fuel"], 4_000_000, "version", 5_000_000);
    is(&version["handles"], 7, "version", 4_096);
    assert_eq!(spent(&host).await, 4_000_000);
    let asked = json!({ "input": "x", "max_fuel": 4_000_001 });
    let refused = host
        .client("acme")
        .await
        .post("/agents/spin/runs", &asked)
        .await;
    assert_eq!(refused.refusal(), (422, "input_refused".to_owned()));
    assert!(
        refused.text.contains("must be 1 to 4000000"),
        "{}",
        refused.text
    );

    // What the organization has binds its versions, those included that were set before.
    put(&host, OF_ORG, json!({ "fuel": 3_000_000 })).await;
    is(
        &shown(&host, OF_VERSION).await["fuel"],
        3_000_000,
        "org",
        3_000_000,
    );
    assert_eq!(spent(&host).await, 3_000_000);

    // A set replaces the one before; of what is not in it nothing is set.
    put(&host, OF_ORG, json!({ "fuel": null })).await;
    assert_eq!(spent(&host).await, 4_000_000);
    let version = put(&host, OF_VERSION, json!({})).await;
    is(&version["fuel"], 9_000_000, "host", 9_000_000);
    assert_eq!(version["handles"]["source"], "host");
}

/// What is asked for where, and what the refusal says.
fn too_much() -> [(&'static str, Value, &'static str); 9] {
    [
        (
            OF_ORG,
            json!({ "handles": 1, "fuel": 9_000_001 }),
            "`fuel` 9000001 is above this host's maximum: 9000000",
        ),
        (
            OF_ORG,
            json!({ "memory_bytes": u64::MAX }),
            "`memory_bytes` 18446744073709551615 is above",
        ),
        (
            OF_ORG,
            json!({ "component_bytes": (64 << 20) + 1 }),
            "`component_bytes` 67108865 is above this host's maximum: 67108864",
        ),
        (
            OF_ORG,
            json!({ "host_calls": 0 }),
            "`host_calls` must be at least 1",
        ),
        (
            OF_ORG,
            json!({ "stack_bytes": 1 }),
            "`stack_bytes` is the operator's to set",
        ),
        (
            OF_VERSION,
            json!({ "fuel": 5_000_001 }),
            "`fuel` 5000001 is above the organization's: 5000000",
        ),
        (
            OF_VERSION,
            json!({ "tables": 9 }),
            "`tables` 9 is above the host's: 8",
        ),
        (
            OF_VERSION,
            json!({ "component_bytes": 1 }),
            "`component_bytes` is an organization's",
        ),
        (
            OF_VERSION,
            json!({ "concurrent_runs": 1 }),
            "`concurrent_runs` is an organization's",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_there_is_is_refused_and_nothing_is_lost() {
    let host = host_with_spin().await;
    let client = host.client("acme").await;
    put(&host, OF_ORG, json!({ "fuel": 5_000_000, "handles": 50 })).await;
    put(&host, OF_VERSION, json!({ "fuel": 1_000_000 })).await;
    let before = (shown(&host, OF_ORG).await, shown(&host, OF_VERSION).await);
    for (path, limits, what) in too_much() {
        let answer = client.put(path, &limits).await;
        assert_eq!(
            answer.refusal(),
            (422, "limit_refused".to_owned()),
            "{}",
            answer.text
        );
        assert!(
            answer.text.contains(what),
            "it says `{what}`: {}",
            answer.text
        );
    }
    // All faults at once.
    let two = client
        .put(OF_ORG, &json!({ "fuel": 0, "tables": 9, "handles": 5 }))
        .await;
    let fields: Vec<Value> = two.json()["errors"].as_array().unwrap().clone();
    let pointers: Vec<&Value> = fields.iter().map(|field| &field["pointer"]).collect();
    assert_eq!(pointers, ["/fuel", "/tables"]);
    for (path, body) in [
        (OF_ORG, json!({ "fule": 1 })),
        (OF_ORG, json!({ "fuel": "much" })),
    ] {
        let answer = client.put(path, &body).await;
        assert_eq!(
            answer.refusal(),
            (400, "invalid_json".to_owned()),
            "{}",
            answer.text
        );
    }
    let nowhere = client
        .put("/agents/spin/versions/2/limits", &json!({ "fuel": 1 }))
        .await;
    assert_eq!(nowhere.status, 404);
    let after = (shown(&host, OF_ORG).await, shown(&host, OF_VERSION).await);
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_maximum_is_for_those_who_were_given_it() {
    let host = TestHost::start_with(|config| {
        config.sandbox.limits.memory_bytes = 1 << 20;
        config.limits.maximum.memory_bytes = Some(4 << 20);
    })
    .await;
    let greedy = Raw {
        run: "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 512)",
        ..Raw::default()
    };
    let peak = async |org: &str| {
        let client = host.client(org).await;
        let view = client
            .post("/agents/greedy/runs?wait=30", &json!({ "input": "x" }))
            .await;
        view.json()["usage"]["memory_peak_bytes"].clone()
    };
    for org in ["acme", "globex"] {
        host.client(org)
            .await
            .deploy("greedy", &greedy.bytes())
            .await;
        assert_eq!(peak(org).await, 1 << 20);
    }
    let more = put(&host, OF_ORG, json!({ "memory_bytes": 4 << 20 })).await;
    is(&more["memory_bytes"], 4 << 20, "org", 4 << 20);
    assert_eq!(peak("acme").await, 4 << 20);
    assert_eq!(peak("globex").await, 1 << 20);
    let globex = host.client("globex").await.get(OF_ORG).await.json();
    is(&globex["memory_bytes"], 1 << 20, "host", 4 << 20);
}

#[test]
fn a_maximum_below_the_default_stops_the_start() {
    let config = bulkhead::limits::Config {
        maximum: bulkhead::limits::Each {
            fuel: Some(9),
            ..Default::default()
        },
    };
    let host = bulkhead::limits::Each {
        fuel: 10,
        ..Default::default()
    };
    let refused = config.check(&host).unwrap_err();
    assert!(
        refused.contains("`limits.maximum.fuel` is 9, below 10"),
        "{refused}"
    );
    assert_eq!(config.check(&Default::default()), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_the_limits_it_was_started_with() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    put(
        &host,
        OF_ORG,
        json!({ "handles": 99, "memory_bytes": 32 << 20 }),
    )
    .await;
    let client = host.client("acme").await;
    let run = client.start("sleep", &json!({ "input": "3600000" })).await;
    put(&host, OF_ORG, json!({})).await;
    let sets: Vec<Vec<u8>> = sqlx::query_scalar("select limits_digest from runs")
        .fetch_all(host.db())
        .await
        .unwrap();
    let digest = <[u8; 32]>::try_from(sets[0].as_slice()).unwrap();
    // On a host that has never heard of it.
    let other = host.join().await;
    let kept = other.host().app.limits.of(Some(digest)).await.unwrap();
    assert_eq!(
        (kept.sandbox.handles, kept.sandbox.memory_bytes),
        (99, 32 << 20)
    );
    assert_eq!(kept.digest, digest);
    assert_eq!(
        serde_json::to_value(kept.each.handles).unwrap(),
        json!({ "value": 99, "source": "org" })
    );
    // However many runs have a set, it is kept once.
    let stored: i64 = sqlx::query_scalar("select count(*) from limit_sets where digest = $1")
        .bind(&digest[..])
        .fetch_one(host.db())
        .await
        .unwrap();
    assert_eq!(stored, 1);
    client.cancel("sleep", &run).await;

    // A set that is not there any more is found.
    let name = async |digest: &[u8]| {
        sqlx::query("update runs set limits_digest = $1")
            .bind(digest)
            .execute(host.db())
            .await
            .unwrap();
    };
    name(&[0; 32]).await;
    let violations = bulkhead::invariants::check(host.db()).await.unwrap();
    let found: Vec<&str> = violations.iter().map(|found| found.invariant).collect();
    assert_eq!(found, ["I13"], "{violations:?}");
    name(&digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_hears_of_it() {
    let host = host_with_spin().await;
    let other = host.join().await;
    assert_eq!(spent(&other).await, 9_000_000);
    put(&host, OF_VERSION, json!({ "fuel": 1_000_000 })).await;
    eventually("the other host gives less", async || {
        spent(&other).await == 1_000_000
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organizations_components_have_a_size_of_their_own() {
    let bytes = Raw::default().bytes();
    let most = bytes.len();
    let host = TestHost::start_with(|config| config.agents.component_bytes = most).await;
    let longer = a_longer_one();
    let client = host.client("acme").await;
    let refused = client.upload("agent", &longer).await;
    assert_eq!(refused.refusal(), (422, "component_too_large".to_owned()));
    put(&host, OF_ORG, json!({ "component_bytes": longer.len() })).await;
    client.deploy("agent", &longer).await;
    put(&host, OF_ORG, json!({ "component_bytes": 10 })).await;
    let refused = client.upload("other", &bytes).await;
    assert_eq!(refused.refusal(), (422, "component_too_large".to_owned()));
    assert!(
        refused.text.contains("larger than 10 bytes"),
        "{}",
        refused.text
    );
    host.client("globex").await.deploy("agent", &bytes).await;
}

/// A component a little longer than the shortest.
fn a_longer_one() -> Vec<u8> {
    Raw {
        fields: "(func $more)",
        ..Raw::default()
    }
    .bytes()
}
