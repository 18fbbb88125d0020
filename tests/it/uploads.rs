//! What is not an agent is refused at the door, by name, and leaves nothing behind; what is one becomes one version,
//! however often and by however many it is sent.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::stop_reason;
use bulkhead_tests::raw::{Import, Raw, assemble};
use futures_util::future::join_all;
use serde_json::json;

use crate::guests;
use crate::limits::components::refused;

const REFUSED: &str = "component_refused";

/// The plain guest's text with `from` replaced by `to`.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let text = Raw::default().text();
    assert!(text.contains(from), "`{from}` is in the text");
    assemble(&text.replace(from, to))
}

/// The plain guest with more in its component.
fn with(component: &str) -> Vec<u8> {
    Raw {
        component,
        ..Raw::default()
    }
    .bytes()
}

/// The plain guest with another `describe`.
fn describing(describe: &str) -> Vec<u8> {
    Raw {
        describe,
        imports: &[Import::Clock, Import::Stdout],
        ..Raw::default()
    }
    .bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_component_are_refused() {
    let host = TestHost::start().await;
    let good = Raw::default().bytes();
    let program = std::fs::read(bulkhead_tests::host::program()).expect("the program is built");
    refused(&host, b"", REFUSED, "The body is empty").await;
    refused(&host, b"GIF89a, or so", REFUSED, "not WebAssembly").await;
    refused(&host, &[0xff; 1_000], REFUSED, "not WebAssembly").await;
    refused(&host, b"\0as", REFUSED, "not WebAssembly").await;
    refused(&host, b"\0asm", REFUSED, "not valid").await;
    refused(&host, b"\0asm\x0d\0\x01\0 and noise", REFUSED, "not valid").await;
    refused(
        &host,
        Raw::default().text().as_bytes(),
        REFUSED,
        "WebAssembly text",
    )
    .await;
    refused(&host, &program[..100_000], REFUSED, "compiled machine code").await;
    let compiled = wasmtime::Engine::default().precompile_component(&good);
    let compiled = compiled.unwrap_or_else(|error| panic!("{error:#}"));
    refused(&host, &compiled, REFUSED, "compiled machine code").await;
    refused(
        &host,
        &assemble("(module (func (export \"run\")))"),
        REFUSED,
        "a core module, not a component",
    )
    .await;
    for part in 1..20 {
        let cut = good.len() * part / 20;
        refused(&host, &good[..cut], REFUSED, "The component").await;
    }
    let huge = [good.as_slice(), &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    refused(&host, &huge, REFUSED, "not valid").await;
}

/// Nothing is unpacked: bombs and names that lead elsewhere stay in the archive.
#[tokio::test(flavor = "multi_thread")]
async fn archives_are_refused_by_name() {
    let host = TestHost::start().await;
    let begins: [(&[u8], &str); 7] = [
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
        (b"PK\x03\x04\x14\0\0\0\x08\0../../etc/passwd", "zip"),
        (b"PK\x05\x06", "zip"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "7-Zip"),
    ];
    for (begin, with) in begins {
        for length in [begin.len(), 1_000, 1 << 20] {
            let mut bytes = begin.to_vec();
            bytes.resize(length.max(begin.len()), 0);
            refused(&host, &bytes, REFUSED, &format!("packed with {with}")).await;
        }
    }
    let mut tar = b"../../../escape.wasm".to_vec();
    tar.resize(257, 0);
    tar.extend_from_slice(b"ustar\x0000");
    tar.resize(10_240, 0);
    refused(&host, &tar, REFUSED, "packed with tar").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_that_are_off_are_refused() {
    let host = TestHost::start().await;
    let modules = [
        ("(type (struct (field i32)))", "without the gc feature"),
        ("(memory 1 1 shared)", "threads must be enabled"),
        ("(memory i64 1)", "memory64 must be enabled"),
        (
            "(type $t (func)) (tag (type $t))",
            "exceptions proposal not enabled",
        ),
        (
            "(type $f (func)) (func (param (ref null $f)))",
            "function references",
        ),
        ("(memory 1 (pagesize 1))", "custom page sizes"),
        ("(type (array i8))", "without the gc feature"),
        ("(rec (type (func)) (type (func)))", "requires `gc`"),
        ("(func (param i31ref))", "not valid"),
        ("(type $t (func)) (type $c (cont $t))", "not valid"),
        ("(table i64 1 funcref)", "memory64"),
        ("(memory i64 1 2 shared)", "not valid"),
        (
            "(global (shared i32) (i32.const 0))",
            "shared-everything-threads",
        ),
    ];
    for (fields, proposal) in modules {
        let bytes = with(&format!("(core module $hidden {fields})"));
        refused(&host, &bytes, REFUSED, proposal).await;
    }
    refused(&host, &with("(type (stream u8))"), REFUSED, "not valid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_worlds_are_refused_by_name() {
    let host = TestHost::start().await;
    let no_run = changed("(export \"run\" (func $run))", "");
    refused(&host, &no_run, REFUSED, "does not export `run`").await;
    let no_describe = changed("(export \"describe\" (func $describe))", "");
    refused(&host, &no_describe, REFUSED, "does not export `describe`").await;
    refused(
        &host,
        &assemble("(component)"),
        REFUSED,
        "does not export `describe`",
    )
    .await;
    let imports = [
        (
            "(import \"wasi:sockets/tcp@0.2.6\" (instance))",
            "wasi:sockets/tcp@0.2.6",
        ),
        (
            "(import \"wasi:http/outgoing-handler@0.2.6\" (instance))",
            "wasi:http/outgoing-handler@0.2.6",
        ),
        (
            "(import \"wasi:random/insecure@0.2.6\" (instance))",
            "wasi:random/insecure@0.2.6",
        ),
        (
            "(import \"acme:db/sql@1.0.0\" (instance))",
            "acme:db/sql@1.0.0",
        ),
        ("(import \"launch\" (func))", "launch"),
        (
            "(import \"wasi:clocks/wall-clock@0.3.0\" (instance))",
            "this host offers WASI 0.2",
        ),
        (
            "(import \"bulkhead:agent/clock@0.2.0\" (instance))",
            "this host offers version 0.1.1",
        ),
        (
            "(import \"bulkhead:agent/clock\" (instance))",
            "this host offers version 0.1.1",
        ),
    ];
    for (import, named) in imports {
        refused(&host, &with(import), REFUSED, named).await;
    }
    let clock = "(import \"bulkhead:agent/clock@0.1.0\" (instance (export \"now\" (func (result string)))))";
    refused(&host, &with(clock), REFUSED, "does not fit the world").await;
    let clock = "(import \"bulkhead:agent/clock@0.1.0\" (instance (export \"stop\" (func))))";
    refused(&host, &with(clock), REFUSED, "does not fit the world").await;
    let number = changed(
        "(func $describe (result $manifest)",
        "(func $describe (result u32)",
    );
    refused(&host, &number, REFUSED, "does not fit the world").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_must_say_what_it_is() {
    let host = TestHost::start_with(|config| config.agents.describe_fuel = 2_000_000).await;
    let failed = "describe_failed";
    refused(
        &host,
        &describing("unreachable"),
        failed,
        "`describe` trapped",
    )
    .await;
    let spin = "(loop $again (br $again)) unreachable";
    refused(
        &host,
        &describing(spin),
        failed,
        "the fuel limit was used up",
    )
    .await;
    let greedy = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    refused(
        &host,
        &describing(greedy),
        failed,
        "the memory limit was reached",
    )
    .await;
    let asks = "(drop (call $now)) (i32.const 1024)";
    refused(
        &host,
        &describing(asks),
        failed,
        "`now` is not for `describe`",
    )
    .await;
    refused(
        &host,
        &describing("(i32.const -4)"),
        failed,
        "`describe` trapped",
    )
    .await;
    let start = Raw {
        fields: "(func $start unreachable) (start $start)",
        ..Raw::default()
    }
    .bytes();
    refused(&host, &start, failed, "`describe` trapped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_must_be_usable() {
    let host = TestHost::start().await;
    let name = "(i32.store8 (i32.const 2048) (i32.const 82)) (i32.const 1024)";
    refused(&host, &describing(name), "manifest_refused", "/name").await;
    let model = "(i32.store (i32.const 1044) (i32.const 0)) (i32.const 1024)";
    refused(&host, &describing(model), "manifest_refused", "/model").await;
    let tool = |schema: &str| {
        let fields = format!(
            "(data (i32.const 4096) \"\\00\\08\\00\\00\\03\\00\\00\\00\\00\\08\\00\\00\\03\\00\\00\\00\\00\\20\\00\\00\\{:02x}\\00\\00\\00\")
             (data (i32.const 8192) \"{}\")",
            schema.len(),
            schema.replace('\\', "\\\\").replace('"', "\\\"")
        );
        let describe = "(i32.store (i32.const 1048) (i32.const 4096)) (i32.store (i32.const 1052) (i32.const 1))
            (i32.const 1024)";
        Raw {
            fields: &fields,
            describe,
            ..Raw::default()
        }
        .bytes()
    };
    for schema in ["", "[]", "{", "{\"a\":\"\\u0000\"}"] {
        refused(
            &host,
            &tool(schema),
            "manifest_refused",
            "/tools/0/input-schema",
        )
        .await;
    }
    let chatty = "(loop $again
          (call $write (call $stdout) (i32.const 4096) (i32.const 1000) (i32.const 600))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
        (i32.const 1024)";
    let client = host.client("acme").await;
    client.deploy("chatty", &describing(chatty)).await;
    client.deploy("tool", &tool("{\"type\":\"object\"}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_the_same_version() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let one = Raw::default().bytes();
    let first = client.upload("twice", &one).await;
    assert_eq!(
        (first.status.as_u16(), first.json()["number"].as_i64()),
        (201, Some(1))
    );
    let again = client.upload("twice", &one).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    let other = client.upload("twice", &guests::ECHO.bytes()).await;
    assert_eq!(
        (other.status.as_u16(), other.json()["number"].as_i64()),
        (201, Some(2))
    );
    let elsewhere = host.client("globex").await.upload("twice", &one).await;
    assert_eq!(
        (
            elsewhere.status.as_u16(),
            elsewhere.json()["number"].as_i64()
        ),
        (201, Some(1))
    );

    let bytes = with("(core module $another)");
    let mut statuses: Vec<u16> = join_all((0..6).map(|_| client.upload("race", &bytes)))
        .await
        .iter()
        .map(|answer| {
            assert_eq!(answer.json()["number"], 1, "{}", answer.text);
            answer.status.as_u16()
        })
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 201]);
    let listed = client.get("/agents/race/versions").await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
}

/// The cache on disk may lose or change anything: it costs a compilation.
#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_is_lost_or_altered_is_made_again() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let bytes = with("(core module $cached)");
    let digest = client.upload("cached", &bytes).await.json()["digest"].clone();
    let digest = digest
        .as_str()
        .and_then(|text| text.strip_prefix("sha256:"))
        .expect("a digest")
        .to_owned();
    client.deploy("cached", &bytes).await;
    let artifact = || {
        let files =
            std::fs::read_dir(host.data().join("artifacts")).expect("the cache is a folder");
        let mut paths = files.filter_map(|file| file.ok().map(|file| file.path()));
        paths
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&digest))
            })
            .expect("it is cached")
    };
    let good = std::fs::read(artifact()).expect("it can be read");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for altered in [
        flipped,
        good[..good.len() / 2].to_vec(),
        b"short".to_vec(),
        Vec::new(),
    ] {
        std::fs::write(artifact(), &altered).expect("it can be written");
        let fresh = host.join().await;
        let events = fresh
            .client("acme")
            .await
            .run("cached", &json!({ "input": "x" }))
            .await;
        assert_eq!(stop_reason(&events), "end_turn");
        assert_ne!(
            std::fs::read(artifact()).expect("it is there"),
            altered,
            "it was made again"
        );
        fresh.stop().await;
    }
    std::fs::remove_file(artifact()).expect("it can be deleted");
    let fresh = host.join().await;
    let events = fresh
        .client("acme")
        .await
        .run("cached", &json!({ "input": "x" }))
        .await;
    assert_eq!(stop_reason(&events), "end_turn");
    artifact();
    fresh.stop().await;
}
