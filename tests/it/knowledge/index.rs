//! The index: fresh on every node, never truth, rebuilt from whatever state its folder is found in.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bulkhead::kit::Tasks;
use bulkhead::knowledge::{Config, Knowledge};
use bulkhead_tests::folder::set_mode;
use nix::fcntl::{Flock, FlockArg};

use super::{Room, index_folder, search};

const QUESTIONS: [&str; 5] = [
    "walnut",
    "stone 17",
    "which parrot",
    "page number 3",
    "changed again",
];

async fn ids(room: &Room, node: &Knowledge, text: &str) -> Vec<String> {
    let hits = search(node, room.org(), text).await;
    hits.iter().map(|hit| hit.chunk.to_string()).collect()
}

/// Everything both find, in whatever order.
async fn assert_same_finds(room: &Room, one: &Knowledge, other: &Knowledge) {
    for text in QUESTIONS {
        let (mut a, mut b) = (ids(room, one, text).await, ids(room, other, text).await);
        a.sort();
        b.sort();
        assert_eq!(a, b, "{text}");
    }
}

#[tokio::test]
async fn a_change_is_found_on_every_node_at_once() {
    let room = Room::new().await;
    let (a, b) = (room.node("a"), room.node("b"));
    for round in 0..12 {
        let word = format!("word{round}");
        let put = room
            .put(
                &a,
                &format!("{}.md", round % 5),
                &format!("The {word} stands here."),
            )
            .await;
        assert_eq!(ids(&room, &b, &word).await.len(), 1, "round {round}");
        if round % 3 == 0 {
            b.delete(&room.caller, put.entry.id)
                .await
                .expect("it is there");
            assert!(ids(&room, &a, &word).await.is_empty());
        }
    }
    assert_same_finds(&room, &a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_agree_after_changing_the_same_entries_together() {
    let room = Room::new().await;
    let nodes = [room.node("a"), room.node("b")];
    let tasks = Tasks::current();
    let changes = (0..4).map(|writer| {
        let (node, caller) = (nodes[writer % 2].clone(), room.caller.clone());
        tasks.spawn(async move {
            for round in 0..10 {
                let word = format!("own{writer}x{round}");
                let shared = super::entry("shared.md", &format!("The {word} walnut."));
                node.put(&caller, None, shared).await.expect("fine");
                let own =
                    super::entry(&format!("{writer}.md"), &format!("Mine is {word} for now."));
                node.put(&caller, None, own).await.expect("fine");
                // What this writer alone writes must be there as it was left.
                let hits = search(&node, caller.org, &format!("{word} now")).await;
                assert!(
                    hits.iter()
                        .any(|hit| hit.text == format!("Mine is {word} for now."))
                );
            }
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.expect("it did not fail");
    }
    assert_eq!(room.sources(&nodes[0], "walnut").await, ["shared.md"]);
    assert_same_finds(&room, &nodes[0], &nodes[1]).await;
}

async fn fill(room: &Room, node: &Knowledge) {
    for place in 0..20 {
        let text = format!("# Page number {place}\n\nThe parrot put a walnut under stone {place}.");
        room.put(node, &format!("{place}.md"), &text).await;
        if place % 4 == 0 {
            search(node, room.org(), "walnut").await;
        }
    }
    for place in (0..20).step_by(3) {
        let put = room
            .put(
                node,
                &format!("{place}.md"),
                &format!("Stone {place} changed again."),
            )
            .await;
        if place % 2 == 0 {
            node.delete(&room.caller, put.entry.id)
                .await
                .expect("it is there");
        }
    }
}

#[tokio::test]
async fn a_rebuilt_index_finds_what_the_grown_one_found() {
    let room = Room::new().await;
    let grown = room.node("grown");
    fill(&room, &grown).await;
    let rebuilt = room.node("rebuilt");
    assert_same_finds(&room, &grown, &rebuilt).await;
    let again = room.node("again");
    for text in QUESTIONS {
        // Two rebuilt ones agree to the score.
        let hits = search(&again, room.org(), text).await;
        assert_eq!(hits, search(&rebuilt, room.org(), text).await, "{text}");
    }
}

type Break = fn(&Path);

/// Its term dictionaries: named anew by whoever builds them.
fn built(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder).expect("it is there");
    let files = files.map(|file| file.expect("it is there").path());
    files
        .filter(|file| file.extension().is_some_and(|e| e == "term"))
        .collect()
}

#[tokio::test]
async fn a_broken_index_is_rebuilt() {
    let room = Room::new().await;
    let whole = room.node("whole");
    fill(&room, &whole).await;
    let breaks: [(&str, Break); 5] = [
        ("no folder", |folder| {
            fs::remove_dir_all(folder).expect("it is ours")
        }),
        ("an empty folder", |folder| {
            for file in fs::read_dir(folder).expect("it is there") {
                fs::remove_file(file.expect("it is there").path()).expect("it is ours");
            }
        }),
        ("garbage for its head", |folder| {
            fs::write(folder.join("meta.json"), "{").expect("it is ours")
        }),
        ("another format", |folder| {
            let meta = fs::read_to_string(folder.join("meta.json")).expect("it is there");
            let other = meta
                .replace("\"payload\":\"", "\"payload\":\"9")
                .replace("\"payload\": \"", "\"payload\": \"9");
            assert_ne!(meta, other);
            fs::write(folder.join("meta.json"), other).expect("it is ours");
        }),
        ("a damaged segment", |folder| {
            let files = fs::read_dir(folder).expect("it is there");
            let mut files = files.map(|file| file.expect("it is there").path());
            let terms = files
                .find(|file| file.extension().is_some_and(|e| e == "idx"))
                .expect("it has one");
            let mut bytes = fs::read(&terms).expect("it is there");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            set_mode(&terms, 0o644);
            fs::write(&terms, bytes).expect("it is ours");
        }),
    ];
    for (place, (what, destroy)) in breaks.into_iter().enumerate() {
        let name = format!("broken{place}");
        search(&room.node(&name), room.org(), "walnut").await;
        let folder = index_folder(&room.folder.join(&name));
        let before = built(&folder);
        destroy(&folder);
        let found = ids(&room, &room.node(&name), "walnut").await;
        assert_eq!(found.len(), 8, "{what}");
        let after = built(&folder);
        assert!(
            !after.is_empty() && before.iter().all(|file| !after.contains(file)),
            "{what}"
        );
        assert_same_finds(&room, &whole, &room.node(&name)).await;
    }
}

#[tokio::test]
async fn a_folder_that_vanishes_under_a_running_node_comes_back() {
    let room = Room::new().await;
    let node = room.node("a");
    room.put(&node, "a.md", "A walnut.").await;
    assert_eq!(room.sources(&node, "walnut").await, ["a.md"]);
    fs::remove_dir_all(index_folder(&room.folder.join("a"))).expect("it is ours");
    room.put(&node, "b.md", "A second walnut, an almond.").await;
    assert_eq!(room.sources(&node, "almond").await, ["b.md"]);
    assert_eq!(room.sources(&node, "walnut").await.len(), 2);
}

#[tokio::test]
async fn an_index_that_slept_through_forgotten_deletions_is_rebuilt() {
    let room = Room::new().await;
    let (awake, asleep) = (room.node("awake"), room.node("asleep"));
    let put = room.put(&awake, "a.md", "A walnut.").await;
    room.put(&awake, "b.md", "An almond.").await;
    assert_eq!(room.sources(&asleep, "walnut").await, ["a.md"]);
    awake
        .delete(&room.caller, put.entry.id)
        .await
        .expect("it is there");
    assert!(room.sources(&awake, "walnut").await.is_empty());
    room.clock.advance(Duration::from_secs(31 * 24 * 3600));
    for job in awake.jobs() {
        job.run().await.expect("the database is there");
    }
    for node in [&awake, &asleep] {
        assert!(room.sources(node, "walnut").await.is_empty());
        assert_eq!(room.sources(node, "almond").await, ["b.md"]);
    }
}

#[tokio::test]
async fn two_hosts_on_one_folder_agree_or_say_so() {
    let room = Room::new().await;
    let (one, other) = (room.node("shared"), room.node("shared"));
    for round in 0..6 {
        let (writer, reader) = if round % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let word = format!("word{round}");
        room.put(writer, "a.md", &format!("The {word}.")).await;
        assert_eq!(ids(&room, writer, &word).await.len(), 1);
        assert_eq!(ids(&room, reader, &word).await.len(), 1);
    }
    let lock = index_folder(&room.folder.join("shared")).join(".tantivy-writer.lock");
    // A child that another test is just starting may hold a copy of a writer's lock until it runs its program.
    let mut file = fs::File::create(lock).expect("it is ours");
    let held = loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(held) => break held,
            Err((back, nix::errno::Errno::EINTR)) => file = back,
            Err((_, error)) => panic!("the lock is ours to take: {error}"),
        }
    };
    room.put(&one, "a.md", "The walnut.").await;
    let refused = one
        .search(room.org(), &super::query("walnut"))
        .await
        .expect_err("it is locked");
    assert_eq!(refused.code.status, 503);
    assert!(refused.detail.contains("its own folder"), "{refused}");
    drop(held);
    assert_eq!(room.sources(&one, "walnut").await, ["a.md"]);
}

#[tokio::test]
async fn idle_indexes_are_closed_and_open_again() {
    let room = Room::new().await;
    let node = room.node_with(Config {
        index: room.folder.join("a"),
        open_indexes_max: 1,
        ..Config::for_test()
    });
    let others = [
        super::organization(&room.identity, "second").await,
        super::organization(&room.identity, "third").await,
    ];
    for caller in others.iter().chain([&room.caller]) {
        node.put(caller, None, super::entry("a.md", "A walnut."))
            .await
            .expect("fine");
    }
    for _ in 0..3 {
        for caller in others.iter().chain([&room.caller]) {
            assert_eq!(search(&node, caller.org, "walnut").await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_dropped_search_leaves_its_place_to_others() {
    let room = Room::new().await;
    let node = room.node("a");
    room.put(&node, "a.md", "A walnut.").await;
    let query = super::query("walnut");
    for _ in 0..20 {
        let search = node.search(room.org(), &query);
        // Dropped wherever it happens to be: before the database answered, in the index, or at its end.
        let _ = tokio::time::timeout(Duration::from_micros(300), search).await;
    }
    assert_eq!(room.sources(&node, "walnut").await, ["a.md"]);
}
