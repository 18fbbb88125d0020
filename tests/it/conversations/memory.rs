//! What an agent keeps for a conversation: there again in the next run on any host, written once whatever becomes of the
//! hosts, bounded, its owner's to see and delete, and without credentials.

use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::raw::{Import, Raw};
use bulkhead_tests::{Client, TestHost, logs};
use serde_json::{Value, json};

use super::ask;
use crate::audit::key;
use crate::guests::JOURNEY;
use crate::replay::is_the_same;

const AGENT: &str = "journey";

async fn tell(client: &Client, conversation: &str, told: &str) -> String {
    ask(client, AGENT, conversation, told).await
}

/// The memory as its owner sees it: keys and values.
async fn kept(client: &Client, conversation: &str) -> Vec<(String, String)> {
    let path = format!("/agents/{AGENT}/conversations/{conversation}/memory");
    let memory = client.get(&path).await;
    assert_eq!(memory.status, 200, "{}", memory.text);
    let entries = memory.json()["entries"].as_array().unwrap().clone();
    let word = |of: &Value| of.as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|entry| (word(&entry["key"]), word(&entry["value"])))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_has_what_the_one_before_kept() {
    let host = TestHost::start().await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let other = host.join().await;
    let elsewhere = client.at(&other.url());
    let conversation = client.converse(AGENT).await;
    // It sees at once what it writes itself.
    let first = "recall a\nremember a one\nrecall a\nremember b/2 x\nremember b/1 y\nremember a two\nrecall a\nkeys b/";
    assert_eq!(
        tell(&client, &conversation, first).await,
        "no a a=one a=two [b/1 b/2] "
    );
    let second = "recall a\nforget b/2\nforget b/2\nremember é ü\nkeys ";
    assert_eq!(
        tell(&elsewhere, &conversation, second).await,
        "a=two gone not there [a b/1 é] "
    );
    assert_eq!(
        kept(&client, &conversation).await,
        pairs(&[("a", "two"), ("b/1", "y"), ("é", "ü")])
    );
    let path = format!("/agents/{AGENT}/conversations/{conversation}/memory");
    assert_eq!(client.get(&path).await.json()["bytes"], 4 + 4 + 4);
    // Another conversation knows nothing of it, and a run of none has a memory of its own.
    let fresh = client.converse(AGENT).await;
    assert_eq!(tell(&client, &fresh, "recall a").await, "no a ");
    let alone = json!({ "input": "recall a\nremember a alone\nrecall a\nkeys " });
    for _ in 0..2 {
        let events = client.run(AGENT, &alone).await;
        assert_eq!(text(&events), "no a a=alone [a] ");
    }
    // A replay is told the same, and writes nothing.
    let runs = client.get("/agents/journey/runs?limit=50").await.json();
    for run in runs["data"].as_array().unwrap() {
        is_the_same(&client, AGENT, run["id"].as_str().unwrap()).await;
    }
    assert_eq!(kept(&client, &conversation).await.len(), 3);
    assert!(kept(&client, &fresh).await.is_empty());
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_wrote_stays_however_it_ends() {
    let host = TestHost::start().await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    tell(&client, &conversation, "remember a 1\nfail on purpose").await;
    let body = json!({ "input": "remember b 2\nsay kept\nsleep 3600000", "conversation_id": conversation });
    let run = client.start(AGENT, &body).await;
    host.reaches(&run, "sleep").await;
    // While it goes on, what it wrote is its own.
    assert_eq!(kept(&client, &conversation).await, pairs(&[("a", "1")]));
    assert_eq!(client.cancel(AGENT, &run).await.status, 202);
    eventually("it has ended", async || {
        client.show(AGENT, &run).await["state"] == "cancelled"
    })
    .await;
    assert_eq!(
        kept(&client, &conversation).await,
        pairs(&[("a", "1"), ("b", "2")])
    );
    host.stop().await;
}

/// A conversation on a host that dies, and another host.
struct Pair {
    first: Box<TestHost>,
    second: Box<TestHost>,
    provider: Provider,
    client: Client,
    conversation: String,
}

impl Pair {
    async fn new() -> Self {
        let first = Box::pin(TestHost::start_with(|config| {
            config.runs.notifications = false;
            config.models.idle_ms = 60_000;
            config.models.total_ms = 120_000;
        }))
        .await;
        first.deploy("acme", AGENT, &JOURNEY).await;
        let client = first.client("acme").await;
        let provider = Provider::start().await;
        let connection = json!({ "kind": "openai", "base_url": provider.base_url(), "default_model": "scripted" });
        let put = client.put("/model-connections/default", &connection).await;
        assert!(put.status.is_success(), "{}", put.text);
        let second = Box::pin(first.join()).await;
        let conversation = client.converse(AGENT).await;
        Self {
            first: Box::new(first),
            second: Box::new(second),
            provider,
            client,
            conversation,
        }
    }

    /// A run that got there on the first host when that fell silent; it ends on the second. Its text.
    async fn goes_on_from(&self, told: &str, place: &str) -> String {
        let body = json!({ "input": told, "conversation_id": self.conversation });
        let run = self.client.start(AGENT, &body).await;
        self.first.reaches(&run, place).await;
        eventually("what it wrote is durable", async || {
            let steps = "select count(*) from run_steps where kind like 'memory.%' and run_id = $1::text::uuid";
            let steps = sqlx::query_scalar(steps).bind(run.trim_start_matches("run_"));
            let steps: i64 = steps.fetch_one(self.first.db()).await.unwrap();
            let before = told.lines().take_while(|line| !line.starts_with("sleep"));
            let verbs = ["remember", "recall", "forget"];
            let asked = before.filter(|line| verbs.iter().any(|verb| line.starts_with(verb)));
            steps == asked.count() as i64
        })
        .await;
        sqlx::query(
            "update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1",
        )
        .bind(self.first.host().app.runs.node().0)
        .execute(self.first.db())
        .await
        .unwrap();
        self.second.run_jobs().await;
        let there = self.client.at(&self.second.url());
        let events = there.resume(AGENT, &run, 0).await.rest().await;
        assert_eq!(stop_reason(&events), "end_turn", "{events:?}");
        let view = there.show(AGENT, &run).await;
        view["output"].as_str().unwrap().to_owned()
    }

    /// The first host was only slow: what it still does for its run is refused.
    async fn stop(self) {
        let registry = self.first.host().app.runs.registry();
        for live in registry.all() {
            let cause = bulkhead::runs::log::StopCause::Deadline;
            live.stop(cause, self.first.clock().now());
        }
        eventually("the first host is done with the run", async || {
            registry.is_empty()
        })
        .await;
        self.second.stop().await;
        self.first.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_elsewhere_writes_once_and_who_was_slow_writes_nothing() {
    logs::expect_errors("a run's write failed");
    let pair = Pair::new().await;
    let conversation = &pair.conversation;
    tell(&pair.client, conversation, "remember a 0\nremember gone x").await;
    let told = "recall a\nremember a 1\nforget gone\nremember b 1\nsleep 1500\nrecall a\nrecall gone\nremember c 1\nkeys ";
    let said = pair.goes_on_from(told, "sleep").await;
    assert_eq!(said, "a=0 gone a=1 no gone [a b c] ");
    let expected = pairs(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let there = pair.client.at(&pair.second.url());
    assert_eq!(kept(&there, conversation).await, expected);
    let steps: Vec<(i32, String)> = sqlx::query_as(
        "select s.seq, s.kind from run_steps s join runs r on r.id = s.run_id where r.term = 2 order by s.seq",
    )
    .fetch_all(pair.second.db())
    .await
    .unwrap();
    let kinds: Vec<&str> = steps.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "memory.get",
            "memory.set",
            "memory.delete",
            "memory.set",
            "clock.sleep",
            "memory.get",
            "memory.get",
            "memory.set",
            "memory.keys"
        ],
        "each is recorded once"
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_behind_a_generation_that_is_made_again_is_forgotten() {
    logs::expect_errors("a run's write failed");
    let pair = Pair::new().await;
    // Behind it lies a write, and it is still open when its host dies; there it is answered otherwise.
    pair.provider.script(vec![
        Answer::pieces(&["first ", "more"]).how(How::HangAfter(450)),
    ]);
    let told =
        "remember a 1\nopen what?\nremember a 2\nrecall a\nremember b 2\nsleep 3000\nclose\nkeys ";
    let said = {
        let provider = &pair.provider;
        let again = async {
            eventually("it was asked", async || provider.requests().len() == 1).await;
            provider.when("what?", Answer::text("second "));
        };
        let (said, ()) = tokio::join!(pair.goes_on_from(told, "sleep"), again);
        said
    };
    assert_eq!(said, "second a=2 [a b] ");
    let there = pair.client.at(&pair.second.url());
    assert_eq!(
        kept(&there, &pair.conversation).await,
        pairs(&[("a", "2"), ("b", "2")])
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bound_refuses_and_what_is_there_stays() {
    let host = TestHost::start_with(|config| {
        config.conversations.memory_keys = 3;
        config.conversations.memory_bytes = 100_000;
    })
    .await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    let said = tell(&client, &conversation, "fill 5 10\nkeys ").await;
    assert_eq!(
        said,
        "3: the memory is full: A memory holds at most 3 keys: delete some first. [key-00000 key-00001 key-00002] "
    );
    // A key that is there may be written all the same, as long as there is room in bytes.
    let said = tell(&client, &conversation, "fill 2 60000\nrecall key-00001").await;
    assert!(
        said.starts_with("1: the memory is full: A memory holds at most 100000 bytes"),
        "{said}"
    );
    assert!(said.ends_with(" key-00001=xxxxxxxxxx "), "{said}");
    // What is too long is told, and nothing is recorded of it.
    let long = "k".repeat(257);
    for (told, why) in [
        (format!("remember {long} x"), "a key must be 1 to 256 bytes"),
        (format!("recall {long}"), "a key must be 1 to 256 bytes"),
        ("recall ".to_owned(), "a key must be 1 to 256 bytes"),
        ("recall a\tb".to_owned(), "no control characters"),
        (format!("keys {long}"), "at most 256 bytes"),
        (
            "fill 1 65537".to_owned(),
            "a value must be at most 65536 bytes; this one has 65537",
        ),
    ] {
        let events = client.run(AGENT, &json!({ "input": told })).await;
        let run = events[0].data["run"].as_str().unwrap().to_owned();
        let fault = client.show(AGENT, &run).await["fault"].to_string();
        let told = format!("{fault} {}", text(&events));
        assert!(told.contains(why), "{told}");
        let steps = client
            .get(&format!("/agents/{AGENT}/runs/{run}/steps"))
            .await;
        assert!(!steps.text.contains("memory."), "{}", steps.text);
    }
    let kept = kept(&client, &conversation).await;
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0].1.len(), 60_000);
    host.stop().await;
}

/// Writes `n` bytes under one key, over and over.
fn floods(bytes: &str) -> String {
    format!(
        "(memory.fill (i32.const 4096) (i32.const 97) (i32.const 60000))
         (loop $again
           (call $remember (i32.const 4096) (i32.const 8) (i32.const 4096) (i32.const {bytes}) (i32.const 600))
           (br $again))
         (i32.const 512)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_writes_ends_by_the_limits_of_the_run() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    for (agent, limit, value, bytes, reason) in [
        ("calls", "host_calls", 40, "8", "host_calls"),
        (
            "run",
            "crossing_bytes_per_run",
            1_000_000,
            "50000",
            "crossing",
        ),
        (
            "call",
            "crossing_bytes_per_call",
            30_000,
            "50000",
            "crossing",
        ),
        ("fuel", "fuel", 1_000_000, "50000", "fuel"),
    ] {
        let run = floods(bytes);
        let raw = Raw {
            imports: &[Import::Memory],
            run: &run,
            ..Raw::default()
        };
        client.deploy(agent, &raw.bytes()).await;
        let path = format!("/agents/{agent}/versions/1/limits");
        let put = client.put(&path, &json!({ limit: value })).await;
        assert_eq!(put.status, 200, "{}", put.text);
        let conversation = client.converse(agent).await;
        let body = json!({ "input": "x", "conversation_id": conversation });
        let events = client.run(agent, &body).await;
        assert_eq!(stop_reason(&events), reason, "{agent}");
        let path = format!("/agents/{agent}/conversations/{conversation}/memory");
        let entries = client.get(&path).await.json()["entries"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(entries, usize::from(agent != "call"), "{agent}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_bounded_like_any_other() {
    let host = TestHost::start().await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    tell(&client, &conversation, "fill 1 5000").await;
    let put = client
        .put(
            "/agents/journey/versions/1/limits",
            &json!({ "answer_bytes": 4_000 }),
        )
        .await;
    assert_eq!(put.status, 200, "{}", put.text);
    let body = json!({ "input": "recall key-00000", "conversation_id": conversation });
    let events = client.run(AGENT, &body).await;
    assert_eq!(stop_reason(&events), "crossing");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_its_owners_to_see_and_delete() {
    let host = TestHost::start().await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    host.deploy("globex", AGENT, &JOURNEY).await;
    let admin = host.client("acme").await;
    let (client, _) = key(&admin, &["read", "run"]).await;
    let (colleague, _) = key(&admin, &["read", "run"]).await;
    let foreign = host.client("globex").await;
    let conversation = client.converse(AGENT).await;
    tell(&client, &conversation, "remember a 1").await;
    let path = format!("/agents/{AGENT}/conversations/{conversation}/memory");
    let not_found = (404, "not_found".to_owned());
    for other in [&colleague, &foreign] {
        assert_eq!(other.get(&path).await.refusal(), not_found);
        assert_eq!(other.delete(&path).await.refusal(), not_found);
    }
    // An admin sees nobody's, and may delete anybody's.
    assert_eq!(admin.get(&path).await.refusal(), not_found);
    let body = json!({ "input": "recall a\nsleep 3600000", "conversation_id": conversation });
    let run = client.start(AGENT, &body).await;
    let busy = admin.delete(&path).await;
    assert_eq!(busy.refusal(), (409, "conversation_busy".to_owned()));
    assert_eq!(busy.json()["run"], json!(run));
    assert_eq!(client.cancel(AGENT, &run).await.status, 202);
    eventually("nothing goes on in it", async || {
        admin.delete(&path).await.status == 204
    })
    .await;
    assert!(kept(&client, &conversation).await.is_empty());
    let rows = admin.get("/audit/actions?limit=1").await.json();
    let row = &rows["data"][0];
    assert_eq!(row["action"], "conversation_memory.deleted");
    assert_eq!(row["target"]["id"], json!(conversation));
    assert!(!row.to_string().contains("\"a\""), "no key is told: {row}");
    assert_eq!(
        client.delete(&path).await.status,
        204,
        "a repeat is a no-op"
    );
    assert_eq!(tell(&client, &conversation, "recall a").await, "no a ");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn archiving_deletes_it_and_what_goes_on_leaves_nothing() {
    let host = TestHost::start().await;
    host.deploy("acme", AGENT, &JOURNEY).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    tell(&client, &conversation, "remember a 1").await;
    let body = json!({ "input": "remember b 1\nsleep 3600000", "conversation_id": conversation });
    let run = client.start(AGENT, &body).await;
    host.reaches(&run, "sleep").await;
    let path = format!("/agents/{AGENT}/conversations/{conversation}");
    assert_eq!(client.delete(&path).await.status, 204);
    assert!(kept(&client, &conversation).await.is_empty());
    assert_eq!(client.cancel(AGENT, &run).await.status, 202);
    eventually("it has ended", async || {
        client.show(AGENT, &run).await["state"] == "cancelled"
    })
    .await;
    assert!(kept(&client, &conversation).await.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_kept_and_personal_data_is_not_shown() {
    let host = TestHost::start().await;
    crate::guardrails::guarded(&host, AGENT, &JOURNEY, &["pii.redact=output"]).await;
    let client = host.client("acme").await;
    let conversation = client.converse(AGENT).await;
    let canary = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD";
    let told = format!(
        "remember api {canary}\nremember password hunter2hunter2\nremember mail jane@example.com"
    );
    let said = tell(&client, &conversation, &told).await;
    assert_eq!(said, "");
    assert_eq!(
        kept(&client, &conversation).await,
        pairs(&[
            ("api", "[secret]"),
            ("mail", "[email]"),
            ("password", "[secret]")
        ])
    );
    // The agent works with the address that is really there.
    let values: Vec<String> =
        sqlx::query_scalar("select value from conversation_memory order by key")
            .fetch_all(host.db())
            .await
            .unwrap();
    assert_eq!(values, ["[secret]", "jane@example.com", "[secret]"]);
    let steps: i64 =
        sqlx::query_scalar("select count(*) from run_steps where request::text like $1")
            .bind(format!("%{canary}%"))
            .fetch_one(host.db())
            .await
            .unwrap();
    assert_eq!(steps, 0);
    host.stop().await;
}
