//! What the program refuses: one line that says what to do, the right exit code, nothing written.

use bulkhead_tests::database;
use bulkhead_tests::folder::Folder;
use nix::sys::signal::Signal;
use sqlx::{Connection as _, PgConnection};

use super::program::{Dev, command, ended, run, send};

const MASTER_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn wrong_usage_is_told_apart_by_its_exit_code() {
    let wrong = run(&["deploy", "--output", "json"]).await;
    assert_eq!((wrong.status, wrong.stdout.as_str()), (2, ""));
    let error: serde_json::Value = serde_json::from_str(&wrong.stderr).unwrap();
    assert_eq!(error["error"]["code"], "usage");
    assert!(
        error["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("<AGENT>"),
        "{error}"
    );
    assert_eq!(run(&["no-such-command"]).await.status, 2);
}

#[tokio::test]
async fn a_client_without_a_host_says_how_to_name_one() {
    let folder = Folder::new();
    let data = folder.to_str().unwrap();
    let lost = run(&["run", "support", "hello", "--data", data]).await;
    let line = lost.refusal(2);
    assert!(
        line.contains("BULKHEAD_URL") && line.contains("bulkhead dev"),
        "{line}"
    );

    let mut nobody = command(&[
        "runs",
        "ls",
        "support",
        "--url",
        "http://127.0.0.1:1",
        "--org",
        "dev",
        "--output",
        "json",
    ]);
    nobody.env("BULKHEAD_API_KEY", "bh_not_a_key");
    let nobody = ended(nobody).await;
    let error: serde_json::Value = serde_json::from_str(&nobody.stderr).unwrap();
    assert_eq!(
        (nobody.status, &error["error"]["code"]),
        (1, &"unreachable".into())
    );
    assert!(!nobody.stderr.contains("bh_not_a_key"));
}

#[tokio::test]
async fn serve_refuses_what_would_be_unsafe() {
    let folder = Folder::new();
    let data = folder.to_str().unwrap();
    let database = database::fresh().await;
    let serve = async |settings: &[(&str, &str)], expected: &str| {
        let mut serve = command(&["serve"]);
        serve
            .env("BULKHEAD__DATA", data)
            .env("BULKHEAD__LISTEN", "127.0.0.1:0");
        settings
            .iter()
            .for_each(|(name, value)| _ = serve.env(name, value));
        let refused = ended(serve).await;
        let line = refused.stderr.trim_end();
        assert!(matches!(refused.status, 1 | 2), "{refused:?}");
        assert!(
            line.starts_with("error: ") && line.contains(expected),
            "{expected}: {line}"
        );
        assert!(!line.contains('\n'), "{line}");
    };
    let url = database.url();
    serve(&[], "DATABASE_URL").await;
    serve(&[("DATABASE_URL", url)], "BULKHEAD_MASTER_KEY").await;
    let key = ("BULKHEAD_MASTER_KEY", MASTER_KEY);
    serve(
        &[("DATABASE_URL", url), ("BULKHEAD_MASTER_KEY", "short")],
        "64 hexadecimal digits",
    )
    .await;
    serve(
        &[
            ("DATABASE_URL", url),
            ("BULKHEAD_MASTER_KEY", &"00".repeat(32)),
        ],
        "random one",
    )
    .await;
    let http = ("BULKHEAD__MODELS__ALLOW_HTTP_MODELS", "true");
    let open = ("BULKHEAD__LISTEN", "0.0.0.0:0");
    serve(
        &[("DATABASE_URL", url), key, http, open],
        "allow_http_models",
    )
    .await;
    serve(
        &[
            ("DATABASE_URL", url),
            key,
            ("BULKHEAD__RUNS__NO_SUCH_LIMIT", "1"),
        ],
        "no_such_limit",
    )
    .await;
    serve(
        &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), key],
        "cannot be reached",
    )
    .await;
}

#[tokio::test]
async fn a_database_of_another_schema_is_told_before_anything_starts() {
    let folder = Folder::new();
    let data = folder.to_str().unwrap();
    let database = database::fresh().await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let newer =
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (999999, 'from the future', true, '', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let dev = [
        "dev",
        "--no-agent",
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
    ];
    let mut dev = command(&dev);
    dev.env("DATABASE_URL", database.url());
    let refused = ended(dev).await;
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    let line = refused.stderr.lines().last().unwrap();
    assert!(
        line.starts_with("error: ") && line.contains("newer Bulkhead"),
        "{refused:?}"
    );

    sqlx::query("drop table _sqlx_migrations")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut serve = command(&["serve"]);
    serve
        .env("DATABASE_URL", database.url())
        .env("BULKHEAD_MASTER_KEY", MASTER_KEY);
    serve
        .env("BULKHEAD__DATA", data)
        .env("BULKHEAD__LISTEN", "127.0.0.1:0");
    let refused = ended(serve).await;
    assert!(
        refused.refusal(1).contains("bulkhead migrate"),
        "{refused:?}"
    );
    connection.close().await.unwrap();
}

#[tokio::test]
async fn serve_runs_drains_and_holds_its_folder() {
    let folder = Folder::new();
    let data = folder.to_str().unwrap();
    let database = database::fresh().await;
    let serve = || {
        let mut serve = command(&["serve", "--migrate", "--output", "json"]);
        serve
            .env("DATABASE_URL", database.url())
            .env("BULKHEAD_MASTER_KEY", MASTER_KEY);
        serve
            .env("BULKHEAD__DATA", data)
            .env("BULKHEAD__LISTEN", "127.0.0.1:0");
        serve.env("BULKHEAD__METRICS_LISTEN", "127.0.0.1:0");
        serve
    };
    let mut first = serve();
    let mut child = first
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line)
        .await
        .unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(
        ready["url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:"),
        "{ready}"
    );

    let second = ended(serve()).await;
    let error: serde_json::Value = serde_json::from_str(&second.stderr).unwrap();
    assert_eq!(
        (second.status, &error["error"]["code"]),
        (1, &"data_folder_in_use".into())
    );

    send(child.id().unwrap(), Signal::SIGTERM);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn dev_refuses_a_taken_port_and_a_held_folder() {
    let folder = Folder::new();
    let data = folder.join("data");
    let dev = Dev::start(&data, &["--no-agent"]).await;
    assert!(dev.ready["agent"].is_null());
    let port = dev.text("url").rsplit(':').next().unwrap().to_owned();
    let address = format!("127.0.0.1:{port}");

    let other = folder.join("other");
    let other = other.to_str().unwrap();
    let taken = run(&["dev", "--no-agent", "--data", other, "--listen", &address]).await;
    let line = taken.refusal(1);
    assert!(
        line.contains(&address) && line.contains("--listen 127.0.0.1:0"),
        "{line}"
    );
    assert!(!std::path::Path::new(other).exists(), "nothing was started");

    let held = [
        "dev",
        "--no-agent",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ];
    let held = run(&held).await;
    let line = held.refusal(1);
    assert!(
        line.contains(&format!("process {}", dev.pid())) && line.contains("--data"),
        "{line}"
    );
    assert_eq!(dev.stop().await, 0);
}

#[tokio::test]
async fn an_agent_that_is_none_is_told_and_nothing_is_left() {
    let folder = Folder::new();
    let data = folder.join("data");
    let words = [
        "dev",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--agent",
        "docs",
    ];
    let refused = run(&words).await;
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.contains("error: docs is no agent's project"),
        "{refused:?}"
    );
    assert_eq!(super::program::server(&data), None);
}

#[tokio::test]
async fn a_folder_without_a_project_is_told_how_to_make_one() {
    let folder = Folder::new();
    let mut dev = command(&["dev", "--listen", "127.0.0.1:0"]);
    dev.current_dir(&*folder);
    let refused = ended(dev).await;
    assert!(refused.refusal(1).contains("bulkhead init"), "{refused:?}");
    assert_eq!(std::fs::read_dir(&*folder).unwrap().count(), 0);
}

/// The toolchain is outside: a stand-in says that the target is missing, and that it cannot be added.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the program finds its tools by PATH"
)]
async fn a_missing_wasm_target_is_added_or_told() {
    let folder = Folder::on_disk();
    let script = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        bulkhead_tests::folder::set_mode(&path, 0o755);
    };
    let asked = folder.join("asked");
    let pass = r#"PATH="${PATH#*:}" exec rustc "$@""#;
    let sysroot = folder.display();
    script(
        "rustc",
        format!("if [ \"$1\" = --print ]; then echo {sysroot}; else {pass}; fi"),
    );
    script(
        "rustup",
        format!("echo \"$@\" >> {}; exit 1", asked.display()),
    );
    let path = std::env::var("PATH").unwrap();
    let mut deploy = command(&["deploy", "chat", "templates/chat"]);
    deploy
        .args([
            "--url",
            "http://127.0.0.1:9",
            "--org",
            "acme",
            "--key",
            "bh_x",
        ])
        .env("PATH", format!("{sysroot}:{path}"));
    let refused = ended(deploy).await;
    assert_eq!(
        (refused.status, refused.stdout.as_str()),
        (1, ""),
        "{refused:?}"
    );
    let asked = std::fs::read_to_string(&asked).expect("rustup was asked to add it");
    assert_eq!(asked, "target add wasm32-wasip2\n");
    let said = refused.stderr.lines().last().unwrap();
    assert!(
        said.starts_with("error: ") && said.contains("rustup target add wasm32-wasip2"),
        "{said}"
    );
}
