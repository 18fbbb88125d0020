//! Where packs come from: files that stay in their folder, addresses that lead to https, bytes that are what was named.

use std::os::unix::fs::symlink;

use bulkhead::kit::Tasks;
use bulkhead_tests::folder::Folder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{entry, manifest, packed, project, refused};
use crate::cli::init::{init, names};

/// An answer on the web.
#[derive(Clone)]
enum Served {
    Bytes(Vec<u8>),
    Leads(String),
    /// A body without an end.
    Endless,
}

/// Serves these paths on this machine; the address.
async fn serve(files: Vec<(&'static str, Served)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let tasks = Tasks::current();
    tasks.clone().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tasks.spawn(answer(stream, files.clone()));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, files: Vec<(&'static str, Served)>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let served = files.into_iter().find(|(known, _)| *known == path);
    let close = "connection: close\r\n\r\n";
    // Who asked may have gone.
    let _ = match served.map(|(_, served)| served) {
        None => {
            stream
                .write_all(
                    format!("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n{close}").as_bytes(),
                )
                .await
        }
        Some(Served::Leads(to)) => {
            let head =
                format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n{close}");
            stream.write_all(head.as_bytes()).await
        }
        Some(Served::Bytes(bytes)) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{close}",
                bytes.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            stream.write_all(&bytes).await
        }
        Some(Served::Endless) => {
            let _ = stream
                .write_all(format!("HTTP/1.1 200 OK\r\n{close}").as_bytes())
                .await;
            loop {
                if let Err(gone) = stream.write_all(&[b'a'; 64 << 10]).await {
                    break Err(gone);
                }
            }
        }
    };
}

#[tokio::test]
async fn a_packs_templates_are_listed() {
    let bytes = project().done();
    let folder = packed(&bytes);
    let two = manifest(&[
        entry("triage", "triage.tar.gz", &bytes),
        entry("letters", "triage.tar.gz", &bytes),
    ]);
    std::fs::write(folder.join("two.toml"), two).unwrap();
    let words = ["--list", "--from", "two.toml", "--output", "json"];
    let listed = init(&folder, &words).await;
    assert_eq!(listed.status, 0, "{listed:?}");
    let listed = listed.document();
    let name = |at: usize| listed["data"][at]["name"].clone();
    assert_eq!((name(0), name(1)), ("letters".into(), "triage".into()));
    assert_eq!(listed["data"][0]["description"], "Sorts letters.");

    let from = ["mine", "--from", "two.toml"];
    refused(&folder, &from, ("usage", "letters, triage")).await;
    let unknown = [&from[..], &["--template", "support"]].concat();
    refused(&folder, &unknown, ("unknown_template", "letters, triage")).await;
    let known = [&from[..], &["--template", "letters"]].concat();
    assert_eq!(init(&folder, &known).await.status, 0);
    assert!(names(&folder).contains(&"mine".to_owned()));
}

#[tokio::test]
async fn another_archive_than_the_manifest_names_is_refused() {
    let folder = packed(&project().done());
    let from = ["mine", "--from", "pack.toml"];
    let good = std::fs::read_to_string(folder.join("pack.toml")).unwrap();
    let other = project().file("more.js", b"").done();
    // Another archive, and one of the very same length.
    std::fs::write(folder.join("triage.tar.gz"), &other).unwrap();
    refused(&folder, &from, ("pack_refused", "bytes")).await;
    let mut altered = project().done();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(folder.join("triage.tar.gz"), &altered).unwrap();
    refused(&folder, &from, ("pack_refused", "SHA-256")).await;
    std::fs::remove_file(folder.join("triage.tar.gz")).unwrap();
    refused(&folder, &from, ("pack_unreachable", "triage.tar.gz")).await;
    for (wrong, named) in [
        (good.replace("format = 1", "format = 7"), "format is 7"),
        (good.replace("sha256", "sha512"), "sha512"),
        ("a".repeat(300 << 10), "larger than 262144"),
    ] {
        std::fs::write(folder.join("pack.toml"), wrong).unwrap();
        refused(&folder, &from, ("pack_refused", named)).await;
    }
    let nowhere = ["mine", "--from", "none.toml"];
    refused(&folder, &nowhere, ("pack_unreachable", "none.toml")).await;
}

#[tokio::test]
async fn a_files_archives_stay_in_its_folder() {
    let bytes = project().done();
    let outside = Folder::new();
    std::fs::write(outside.join("triage.tar.gz"), &bytes).unwrap();
    let folder = Folder::new();
    let absolute = outside.join("triage.tar.gz");
    symlink(&absolute, folder.join("link.tar.gz")).unwrap();
    std::fs::create_dir(folder.join("folder.tar.gz")).unwrap();
    let beside = format!(
        "../{}/triage.tar.gz",
        outside.file_name().unwrap().to_str().unwrap()
    );
    for archive in [
        absolute.to_str().unwrap(),
        &beside,
        "link.tar.gz",
        "folder.tar.gz",
    ] {
        let manifest = manifest(&[entry("triage", archive, &bytes)]);
        std::fs::write(folder.join("pack.toml"), manifest).unwrap();
        let from = ["mine", "--from", "pack.toml"];
        refused(&folder, &from, ("pack_unreachable", "cannot read")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_comes_from_the_web() {
    let bytes = project().done();
    let text = manifest(&[entry("triage", "files/triage.tar.gz", &bytes)]);
    let url = serve(vec![
        ("/pack.toml", Served::Bytes(text.into_bytes())),
        ("/files/triage.tar.gz", Served::Leads("/kept/1".to_owned())),
        ("/kept/1", Served::Bytes(bytes)),
        ("/round", Served::Leads("/round".to_owned())),
        (
            "/away",
            Served::Leads("http://example.com/pack.toml".to_owned()),
        ),
        ("/endless", Served::Endless),
    ])
    .await;
    let folder = Folder::new();
    let refused = async |place: &str, code: &str, named: &str| {
        let from = if place.starts_with('/') {
            format!("{url}{place}")
        } else {
            place.to_owned()
        };
        refused(&folder, &["mine", "--from", &from], (code, named)).await;
    };
    refused("/none", "pack_unreachable", "404").await;
    refused("/round", "pack_unreachable", "on and on").await;
    refused("/away", "pack_unreachable", "https").await;
    refused("/endless", "pack_refused", "larger than 262144").await;
    refused("http://example.com/pack.toml", "pack_unreachable", "https").await;
    refused("ftp://example.com/pack.toml", "pack_unreachable", "https").await;
    refused(
        "http://127.0.0.1:1/pack.toml",
        "pack_unreachable",
        "127.0.0.1",
    )
    .await;
    let from = format!("{url}/pack.toml");
    let made = init(&folder, &["mine", "--from", &from]).await;
    assert_eq!(made.status, 0, "{made:?}");
    assert_eq!(names(&folder), ["mine"]);
}
