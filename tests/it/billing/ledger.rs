//! The rows and their sums against the provider's own count.

use bulkhead_tests::client::stop_reason;
use bulkhead_tests::provider::{Answer, How};
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use super::{connect, count, input, journey, provider, usage};
use crate::guests;

fn price(config: &mut bulkhead::config::Config, model: &str, input: &str, output: &str) {
    let row = json!({ "input_per_million": input, "output_per_million": output });
    let row = serde_json::from_value(row).unwrap();
    config.billing.prices.insert(model.to_owned(), row);
}

/// What an answer says, without what says when.
fn tokens(of: &Value) -> (i64, i64) {
    let number = |name: &str| of[name].as_i64().unwrap();
    (number("input_tokens"), number("output_tokens"))
}

/// The same as CSV.
async fn is_csv(client: &Client, counted: (i64, i64)) {
    let csv = client.get("/usage/export.csv?group=model").await;
    let lines: Vec<&str> = csv.text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "connection,model,generations,estimated,input_tokens,output_tokens,cached_tokens,reasoning_tokens,cost,unpriced,currency"
    );
    assert!(
        lines[1].starts_with(&format!("default,m,3,0,{},{},0,0,0.", counted.0, counted.1)),
        "{}",
        csv.text
    );
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_the_providers_own_count() {
    let host = TestHost::start_with(|config| {
        price(config, "m", "0.25", "2");
        config.billing.price_per_run = "0.001".into();
    })
    .await;
    let client = journey(&host).await;
    let model = provider(&client).await;
    connect(&client, &model, "other", "free").await;
    let other = host.client("globex").await;
    for instructions in ["ask a\nask b c d", "say x\ntool t\nsearch y", "ask e"] {
        let events = client.run("journey", &input(instructions)).await;
        assert_eq!(stop_reason(&events), "end_turn");
    }
    host.deploy("acme", "echo", &guests::ECHO).await;
    client.run("echo", &input("x")).await;
    let counted = model.counted();
    let counted = (
        i64::try_from(counted.input).unwrap(),
        i64::try_from(counted.output).unwrap(),
    );
    assert!(counted.0 > 0 && counted.1 > 0);
    let waiting = usage(&client, "?group=version").await;
    host.run_jobs().await;
    assert_eq!(count(&host, "usage_unfolded").await, 0);
    let summed = usage(&client, "?group=version").await;
    assert_eq!(waiting, summed, "what is in no sum yet is in the answer");
    assert_eq!(tokens(&summed["total"]), counted);
    let total = &summed["total"];
    let facts = [
        "runs",
        "failed",
        "tool_calls",
        "knowledge_queries",
        "estimated",
        "unpriced",
    ];
    let facts = facts.map(|fact| total[fact].as_i64().unwrap());
    assert_eq!(facts, [4, 0, 1, 1, 0, 0]);
    // A price of 0.25 and 2 for a million, and a thousandth for each run: to the last digit.
    let picos = counted.0 * 250_000 + counted.1 * 2_000_000 + 4 * 1_000_000_000;
    let decimals = format!("{picos:012}");
    let expected = format!("0.{}", decimals.trim_end_matches('0'));
    assert_eq!(total["cost"], expected.as_str());
    assert_eq!(summed["currency"], "usd");
    let models = usage(&client, "?group=model").await;
    assert_eq!(models["data"][0]["model"], "m");
    assert_eq!(models["data"][0]["generations"], 3);
    assert_eq!(tokens(&models["data"][0]), counted);
    let agents = usage(&client, "?group=agent").await;
    let names: Vec<&str> = agents["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["agent"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["echo", "journey"]);
    assert_eq!(
        usage(&other, "").await["total"]["runs"],
        0,
        "foreign is unknown"
    );

    is_csv(&client, counted).await;
    host.stop().await;
}

/// A model without a price costs nobody knows what; the rest of the run has its cost all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_price_has_no_cost() {
    let host = TestHost::start_with(|config| price(config, "known", "1", "1")).await;
    let client = journey(&host).await;
    let _model = provider(&client).await;
    let run = client.stream("journey", &input("ask a")).await;
    let id = run.run();
    run.rest().await;
    let shown = client.show("journey", &id).await;
    assert_eq!(shown["cost"], json!({ "amount": null, "currency": "usd" }));
    let month = usage(&client, "?group=model").await;
    assert_eq!(month["data"][0]["cost"], Value::Null);
    assert_eq!(
        (&month["total"]["cost"], &month["total"]["unpriced"]),
        (&Value::Null, &json!(1))
    );
    let run = client.stream("journey", &input("say a")).await;
    let id = run.run();
    run.rest().await;
    let shown = client.show("journey", &id).await;
    assert_eq!(
        shown["cost"]["amount"], "0.00",
        "a run without a generation costs nothing"
    );
    host.stop().await;
}

/// However a run ends, it counts for what it used; where nobody counted, that is said.
#[tokio::test(flavor = "multi_thread")]
async fn ends_of_every_kind_count() {
    let host = TestHost::start().await;
    let client = journey(&host).await;
    let model = provider(&client).await;
    model.always(|question| match question {
        "cut" => Answer::text("one two three four").how(How::HangAfter(500)),
        "uncounted" => Answer::text("two words").without_usage(),
        _ => Answer::text("two words"),
    });
    client.run("journey", &input("ask a\nfail now")).await;
    client.run("journey", &input("ask uncounted")).await;
    let mut cut = client.stream("journey", &input("ask cut")).await;
    let id = cut.run();
    cut.next_of("text").await;
    client.cancel("journey", &id).await;
    cut.rest().await;
    host.run_jobs().await;
    let month = usage(&client, "").await;
    let total = &month["total"];
    let facts = ["runs", "failed", "cancelled", "blocked", "estimated"];
    let facts = facts.map(|fact| total[fact].as_i64().unwrap());
    assert_eq!(facts, [3, 1, 1, 0, 2]);
    assert!(
        tokens(total).0 > i64::try_from(model.counted().input).unwrap(),
        "{total}"
    );
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from usage_records u where (input_tokens, output_tokens) <> (
           select coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint
           from usage_steps where org_id = u.org_id and run_id = u.run_id)",
    )
    .fetch_one(host.db())
    .await
    .unwrap();
    assert_eq!(wrong, 0, "a run's generations are its tokens");
    host.stop().await;
}

/// Two hosts end runs while both add up, all the time: whatever moment is asked, nothing is missing or twice.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_it_is_added_up() {
    const RUNS: usize = 60;
    let first = TestHost::start_with(|config| config.billing.fold_runs = 7).await;
    let client = journey(&first).await;
    let _model = provider(&client).await;
    let second = first.join().await;
    let clients = [client.clone(), client.at(&second.url())];
    let runs = async {
        let runs = (0..RUNS).map(|n| {
            let client = &clients[n % 2];
            async move { client.run("journey", &input("ask a")).await }
        });
        futures_util::future::join_all(runs).await;
    };
    let folds = async |host: &TestHost| {
        let mut seen = 0;
        while seen < RUNS as i64 {
            host.host().app.billing.fold().await.unwrap();
            let days = usage(&client, "").await;
            let models = usage(&client, "?group=model").await;
            let runs = days["total"]["runs"].as_i64().unwrap();
            assert!(runs >= seen, "{runs} after {seen}");
            let generations = models["data"][0]["generations"].as_i64().unwrap_or(0);
            assert!(generations >= runs, "{generations} of {runs}");
            seen = runs;
        }
    };
    Box::pin(futures_util::future::join3(
        runs,
        folds(&first),
        folds(&second),
    ))
    .await;
    first.host().app.billing.fold().await.unwrap();
    let month = usage(&client, "").await;
    assert_eq!(month["total"]["runs"], RUNS as i64);
    assert_eq!(count(&first, "usage_unfolded").await, 0);
    let in_sums: String = sqlx::query_scalar("select sum(runs)::text from usage_rollups")
        .fetch_one(first.db())
        .await
        .unwrap();
    assert_eq!(in_sums, RUNS.to_string());
    second.stop().await;
    first.stop().await;
}
