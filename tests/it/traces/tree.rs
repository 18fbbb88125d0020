//! The spans of a run: which there are, under which, and what they say.

use bulkhead_tests::collector::Span;
use bulkhead_tests::provider::Answer;
use bulkhead_tests::raw::judge::Judge;
use serde_json::json;

use super::{START, Traced};
use crate::guardrails::guarded;
use crate::guests;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_tree() {
    let traced = Traced::start(|config| config.tracing.service_name = "host-7".to_owned()).await;
    let Traced {
        host,
        collector,
        provider,
        client,
    } = traced;
    client.deploy("allows", &Judge::default().bytes()).await;
    guarded(&host, "agent", &guests::JOURNEY, &["component=allows"]).await;
    provider.script(vec![Answer::text("three words here")]);
    let events = client
        .stream("agent", &json!({ "input": "search x\nask the model" }))
        .await;
    let run = events.run();
    events.rest().await;

    let agent = collector.one("invoke_agent agent").await;
    let request = collector.one(START).await;
    let chat = collector.one("chat scripted").await;
    let search = collector.one("retrieval").await;
    let judged = collector.named("judge allows");
    assert_eq!(request.parent, "");
    assert_eq!(agent.parent, request.id);
    for span in [&chat, &search].into_iter().chain(&judged) {
        assert_eq!(
            (&span.parent, &span.trace),
            (&agent.id, &request.trace),
            "{span:?}"
        );
    }
    assert!(!judged.is_empty(), "input and output are judged");
    assert_eq!(judged[0].get("bulkhead.guardrail.verdict"), "allow");
    assert_eq!(agent.trace, request.trace);
    assert_eq!(
        (agent.service.clone(), agent.schema.ends_with("/1.41.0")),
        (json!("host-7"), true)
    );

    says(
        &request,
        &json!({
            "http.request.method": "POST", "http.route": "/v1/orgs/{org}/agents/{agent}/runs",
            "http.response.status_code": 200,
        }),
    );
    let shown = client.show("agent", &run).await;
    says(
        &agent,
        &json!({
            "gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "bulkhead",
            "gen_ai.agent.name": "agent", "gen_ai.agent.version": "1", "bulkhead.run.id": run,
            "bulkhead.run.state": "completed", "bulkhead.run.stop_reason": "end_turn",
            "bulkhead.run.fuel": shown["usage"]["fuel"],
            "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 3,
        }),
    );
    let port = provider
        .base_url()
        .split(':')
        .nth(2)
        .and_then(|rest| rest.split('/').next().map(str::to_owned));
    says(
        &chat,
        &json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "scripted", "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 3,
            "server.address": "127.0.0.1", "server.port": port.and_then(|port| port.parse::<u16>().ok()),
        }),
    );
    says(
        &search,
        &json!({ "gen_ai.operation.name": "retrieval", "bulkhead.knowledge.hits": 0 }),
    );
    // Server, internal, client: the numbers of the protocol.
    assert_eq!(
        (request.kind, agent.kind, chat.kind, search.kind),
        (2, 1, 3, 1)
    );
    // The provider is told where it stands, and nothing else of ours.
    let told = provider.requests()[0].traceparent.clone();
    assert_eq!(told, Some(format!("00-{}-{}-01", chat.trace, chat.id)));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_says_so_in_a_word() {
    let traced = Traced::start(|config| config.models.tries = 1).await;
    let Traced {
        host,
        collector,
        provider,
        client,
    } = traced;
    provider.script(vec![
        Answer::status(500, "no"),
        Answer::text("a long answer of many words"),
    ]);
    client.run("journey", &json!({ "input": "ask it" })).await;
    let chat = collector.one("chat scripted").await;
    assert_eq!(
        (chat.failed, chat.get("error.type")),
        (true, json!("provider")),
        "{chat:?}"
    );
    let agent = collector.one("invoke_agent journey").await;
    assert_eq!(
        (agent.failed, agent.get("error.type")),
        (true, json!("model_error")),
        "{agent:?}"
    );
    // A guest that has enough cuts its generation short; that is no failure.
    client
        .run("journey", &json!({ "input": "open it\nclose" }))
        .await;
    bulkhead_tests::host::eventually("the second generation is told", async || {
        collector.named("chat scripted").len() == 2
    })
    .await;
    let cut = collector.named("chat scripted").remove(1);
    assert_eq!(
        (cut.failed, cut.get("bulkhead.generation.cut_short")),
        (false, json!(true)),
        "{cut:?}"
    );
    // A route that is not there, by the one name of all such; health checks by none.
    let missing = client.get("/v1/nowhere/secret-place").await;
    assert_eq!(missing.status, 404);
    client.get("/livez").await;
    let unmatched = collector.one("GET unmatched").await;
    assert_eq!(unmatched.get("http.response.status_code"), 404);
    assert!(
        collector
            .spans()
            .iter()
            .all(|span| !span.name.contains("livez"))
    );
    host.stop().await;
}

/// It says at least this.
fn says(span: &Span, expected: &serde_json::Value) {
    for (name, value) in expected.as_object().expect("names and values") {
        assert_eq!(&span.get(name), value, "{name} of {span:#?}");
    }
}
