//! Limits of what a component may bring, refused at upload: nothing is written, and the answer names the limit.

use bulkhead_tests::TestHost;
use bulkhead_tests::raw::Raw;

use super::{deploy, ends};

/// Uploads to an agent that does not exist, and checks the refusal and that the agent still does not.
#[expect(clippy::print_stdout, reason = "how soon it comes is worth a look")]
pub(crate) async fn refused(host: &TestHost, bytes: &[u8], code: &str, detail: &str) {
    let client = host.client("acme").await;
    let began = std::time::Instant::now();
    let answer = client.upload("never", bytes).await;
    println!("{code} in {:.1?}: `{detail}`", began.elapsed());
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(answer.code(), code, "{}", answer.text);
    assert!(
        answer.text.contains(detail),
        "it says `{detail}`: {}",
        answer.text
    );
    assert_eq!(client.get("/agents/never").await.status, 404);
    for table in ["agents", "agent_versions", "components"] {
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
                .fetch_one(host.db())
                .await
                .expect("rows can be counted");
        assert_eq!(rows, 0, "{table} after `{detail}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_component_brings_is_bounded() {
    let host = TestHost::start().await;
    let of = |fields: &str| {
        Raw {
            fields,
            ..Raw::default()
        }
        .bytes()
    };
    let large = Raw {
        memory: "1025",
        ..Raw::default()
    }
    .bytes();
    refused(
        &host,
        &large,
        "component_refused",
        "minimum byte size of 67174400 which exceeds the limit of 0x4000000",
    )
    .await;
    let sum = of("(memory 600) (memory 600)");
    refused(
        &host,
        &sum,
        "describe_failed",
        "the memory limit was reached",
    )
    .await;
    let memories = of("(memory 1) (memory 1) (memory 1) (memory 1)");
    refused(
        &host,
        &memories,
        "component_refused",
        "5 Wasm linear memories, which exceeds the configured maximum of 4",
    )
    .await;
    let tables = of(&"(table 1 funcref)".repeat(9));
    refused(
        &host,
        &tables,
        "component_refused",
        "count of 9 exceeds the per-instance limit of 8",
    )
    .await;
    let table = of("(table 20001 funcref)");
    refused(
        &host,
        &table,
        "component_refused",
        "minimum element size of 20001 which exceeds the limit of 20000",
    )
    .await;
    let instances = format!(
        "(core module $e) {}",
        "(core instance (instantiate $e))".repeat(39)
    );
    let instances = Raw {
        component: &instances,
        ..Raw::default()
    }
    .bytes();
    refused(
        &host,
        &instances,
        "component_refused",
        "41 core module instances",
    )
    .await;
    let globals = of(&"(global (mut v128) (v128.const i64x2 0 0))".repeat(70_000));
    refused(&host, &globals, "component_refused", "which exceeds").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_a_component_makes_of_its_own_are_bounded() {
    let host = TestHost::start().await;
    let own = r#"(component $own
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core module $m
          (import "" "new" (func $new (param i32) (result i32)))
          (func $start (loop $again (drop (call $new (i32.const 1))) (br $again)))
          (start $start))
        (core instance (instantiate $m (with "" (instance (export "new" (func $new)))))))
      (instance (instantiate $own))"#;
    let bytes = Raw {
        component: own,
        ..Raw::default()
    }
    .bytes();
    refused(
        &host,
        &bytes,
        "describe_failed",
        "the limit of open resources was reached",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_is_taken() {
    let host = TestHost::start_with(|config| {
        config.sandbox.limits.core_instances = 4;
        config.sandbox.limits.memories = 2;
        config.sandbox.limits.tables = 2;
        config.sandbox.limits.table_elements = 50;
        config.sandbox.limits.memory_bytes = 1 << 20;
    })
    .await;
    let full = Raw {
        memory: "8",
        fields: "(memory 8) (table 50 funcref) (table 1 funcref)",
        component: "(core module $e) (core instance (instantiate $e)) (core instance (instantiate $e))",
        ..Raw::default()
    };
    deploy(&host, "full", full).await;
    let input = serde_json::json!({ "input": "x" });
    ends(&host, "full", &input, ("end_turn", "", "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_has_a_size() {
    let bytes = Raw::default().bytes();
    let most = bytes.len();
    let host = TestHost::start_with(|config| config.agents.component_bytes = most).await;
    let longer = [bytes.as_slice(), &[0, 1, 0]].concat();
    refused(
        &host,
        &longer,
        "component_too_large",
        &format!("larger than {most} bytes"),
    )
    .await;
    host.client("acme").await.deploy("fits", &bytes).await;
}
