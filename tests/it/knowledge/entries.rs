//! Entries: put, replaced, listed, deleted, refused; and the passages they are cut into.

use bulkhead::knowledge::{Config, ListQuery, NewEntry, Query};

use super::{Room, entry, organization, search};

#[tokio::test]
async fn the_same_source_again_replaces_its_entry() {
    let room = Room::new().await;
    let node = room.node("a");
    let first = room
        .put(&node, "parrot.md", "# Parrots\n\nThe parrot eats walnuts.")
        .await;
    assert!(first.created && first.changed);
    assert_eq!(
        (first.entry.title.as_str(), first.entry.chunks),
        ("Parrots", 1)
    );
    assert_eq!(room.sources(&node, "walnuts").await, ["parrot.md"]);

    let same = room
        .put(&node, "parrot.md", "# Parrots\n\nThe parrot eats walnuts.")
        .await;
    assert!(!same.created && !same.changed);
    assert_eq!(same.entry, first.entry);

    let other = room
        .put(&node, "parrot.md", "# Parrots\n\nThe parrot eats almonds.")
        .await;
    assert!(!other.created && other.changed);
    assert_eq!(other.entry.id, first.entry.id);
    assert_eq!(room.sources(&node, "walnuts").await, [""; 0]);
    assert_eq!(room.sources(&node, "almonds").await, ["parrot.md"]);

    node.delete(&room.caller, first.entry.id)
        .await
        .expect("it is there");
    assert_eq!(room.sources(&node, "almonds").await, [""; 0]);
    let gone = node
        .delete(&room.caller, first.entry.id)
        .await
        .expect_err("it is gone");
    assert_eq!(gone.code.status, 404);
    assert!(node.get(&room.caller, first.entry.id).await.is_err());
    let again = room
        .put(&node, "parrot.md", "# Parrots\n\nThe parrot eats almonds.")
        .await;
    assert!(again.created && again.entry.id != first.entry.id);
}

#[tokio::test]
async fn a_repeated_request_finds_what_the_first_made() {
    let room = Room::new().await;
    let node = room.node("a");
    let new = || NewEntry {
        content: "Plain text.".into(),
        ..NewEntry::default()
    };
    let first = node
        .put(&room.caller, None, new())
        .await
        .expect("fine")
        .entry;
    let repeated = node
        .put(&room.caller, Some(first.id), new())
        .await
        .expect("fine");
    assert_eq!((repeated.created, repeated.entry), (false, first.clone()));
    let other = node.put(&room.caller, None, new()).await.expect("fine");
    assert!(other.created && other.entry.id != first.id);
}

#[tokio::test]
async fn lists_page_through_everything_once_and_filter() {
    let room = Room::new().await;
    let node = room.node("a");
    for place in 0..7 {
        let mut new = entry(&format!("{place}.md"), &format!("# Page {place}\n\nText."));
        new.tags = vec![if place % 2 == 0 { "even" } else { "odd" }.into()];
        new.kind = (place == 3).then(|| "rule".to_owned());
        node.put(&room.caller, None, new).await.expect("fine");
        room.clock.advance(std::time::Duration::from_secs(1));
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = ListQuery {
            cursor: cursor.take(),
            limit: Some(3),
            ..ListQuery::default()
        };
        let page = node.list(&room.caller, &page).await.expect("fine");
        seen.extend(page.data.into_iter().filter_map(|entry| entry.source));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(
        seen,
        ["6.md", "5.md", "4.md", "3.md", "2.md", "1.md", "0.md"]
    );
    let count =
        async |query: ListQuery| node.list(&room.caller, &query).await.map(|p| p.data.len());
    let tag = |tag: &str| ListQuery {
        tag: Some(tag.into()),
        ..ListQuery::default()
    };
    assert_eq!(count(tag("even")).await.expect("fine"), 4);
    let rules = ListQuery {
        kind: Some("rule".into()),
        ..ListQuery::default()
    };
    assert_eq!(count(rules).await.expect("fine"), 1);
    assert_eq!(count(tag("a\0b")).await.expect_err("NUL").code.status, 400);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_field_and_nothing_is_written() {
    let room = Room::new().await;
    let node = room.node("a");
    let long = "x".repeat(200);
    let bad: Vec<(&str, NewEntry)> = vec![
        ("/content", entry("a", "a\0b")),
        ("/content", entry("a", " \n\t ")),
        ("/content", entry("a", &"long ".repeat(20_000))),
        ("/source", entry("a\nb", "text")),
        ("/source", entry(&long, "text")),
        (
            "/title",
            NewEntry {
                title: Some("a\u{1b}[0m".into()),
                ..entry("a", "text")
            },
        ),
        (
            "/title",
            NewEntry {
                title: Some("  ".into()),
                ..entry("a", "text")
            },
        ),
        (
            "/type",
            NewEntry {
                kind: Some("No Type".into()),
                ..entry("a", "text")
            },
        ),
        (
            "/tags",
            NewEntry {
                tags: vec!["a".into(); 5],
                ..entry("a", "text")
            },
        ),
        (
            "/tags/1",
            NewEntry {
                tags: vec!["a".into(), long],
                ..entry("a", "text")
            },
        ),
    ];
    for (pointer, new) in bad {
        let refused = node.put(&room.caller, None, new).await.expect_err(pointer);
        assert_eq!(
            (refused.code.status, refused.fields[0].pointer.as_str()),
            (422, pointer)
        );
    }
    let listed = node
        .list(&room.caller, &ListQuery::default())
        .await
        .expect("fine");
    assert!(listed.data.is_empty());
}

#[tokio::test]
async fn queries_out_of_bounds_are_refused_and_hostile_ones_are_text() {
    let room = Room::new().await;
    let node = room.node("a");
    room.put(&node, "a.md", "# Operators\n\nword AND (other OR third)")
        .await;
    let ask = |text: &str, limit: u32, tags: usize| Query {
        text: text.into(),
        limit,
        tags: vec!["a".into(); tags],
    };
    let bad = [
        ("/text", ask("", 1, 0)),
        ("/text", ask(&"a".repeat(1 << 20), 1, 0)),
        ("/limit", ask("a", 0, 0)),
        ("/limit", ask("a", 33, 0)),
        ("/tags", ask("a", 1, 17)),
    ];
    for (pointer, query) in bad {
        let refused = node.search(room.org(), &query).await.expect_err(pointer);
        assert_eq!(
            (refused.code.status, refused.fields[0].pointer.as_str()),
            (422, pointer)
        );
    }
    let nested = "(".repeat(4096);
    let many = (0..999).map(|n| format!("w{n:03} ")).collect::<String>();
    let texts = [
        &nested,
        "word AND NOT (word",
        "/.*.*.*/",
        "w*",
        "title:word^9~2",
        "\0",
        "??",
        &many[..4096],
    ];
    for text in texts {
        node.search(room.org(), &ask(text, 32, 0))
            .await
            .expect("it is only text");
    }
    assert_eq!(room.sources(&node, "\"word\" AND (").await, ["a.md"]);
    // Nothing but words that say nothing: then they are what is looked for.
    room.put(&node, "b.md", "To be, or not to be.").await;
    assert_eq!(room.sources(&node, "to be or not to be").await[0], "b.md");
}

#[tokio::test]
async fn passages_stand_where_their_offsets_say() {
    let room = Room::new().await;
    let node = room.node_with(Config {
        index: room.folder.join("a"),
        ..Config::default()
    });
    let code = format!("```rust\n{}```\n", "let rust = \"needle\";\n".repeat(40));
    let prose = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ".repeat(60);
    let content = format!(
        "---\ntitle: \"The stated title\"\n---\n\n# Top\n\n{prose}\n\n## Code\n\n{code}\n### Deep\n\n{prose}\n\n\
         ## Last\n\nA haystack of its own, long enough to stand alone: {}\n",
        "hay ".repeat(60)
    );
    let put = room.put(&node, "a.md", &content).await;
    assert_eq!(put.entry.title, "The stated title");
    let found = |text: &'static str| search(&node, room.org(), text);
    for hit in [
        found("needle").await,
        found("Boxkämpfer").await,
        found("haystack").await,
    ]
    .concat()
    {
        let (start, end) = (hit.start_byte as usize, hit.end_byte as usize);
        assert_eq!(hit.text, content[start..end]);
        assert!(hit.text.chars().count() <= 1200, "{} is long", hit.text);
        let (start, end) = (
            hit.snippet.start_byte as usize,
            hit.snippet.end_byte as usize,
        );
        assert_eq!(hit.snippet.text, content[start..end]);
    }
    let needle = &found("needle").await[0];
    assert!(
        needle.text.contains(&code[..code.len() - 1]),
        "a code block is whole"
    );
    assert_eq!(needle.heading, "Top > Code");
    assert_eq!(found("haystack").await[0].heading, "Top > Last");
}

#[tokio::test]
async fn tags_narrow_a_search_and_organizations_see_only_their_own() {
    let room = Room::new().await;
    let node = room.node("a");
    for (source, tags) in [("a.md", vec!["red"]), ("b.md", vec!["red", "blue"])] {
        let mut new = entry(source, "The walnut is brown.");
        new.tags = tags.into_iter().map(str::to_owned).collect();
        node.put(&room.caller, None, new).await.expect("fine");
    }
    let tagged = |tags: &[&str]| Query {
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..super::query("walnut")
    };
    let count = async |tags: &[&str]| {
        node.search(room.org(), &tagged(tags))
            .await
            .expect("fine")
            .len()
    };
    assert_eq!(count(&[]).await, 2);
    assert_eq!(count(&["red"]).await, 2);
    assert_eq!(count(&["red", "blue"]).await, 1);
    assert_eq!(count(&["Red"]).await, 0);

    let stranger = organization(&room.identity, "second").await;
    assert!(search(&node, stranger.org, "walnut").await.is_empty());
    node.put(&stranger, None, entry("a.md", "Another walnut."))
        .await
        .expect("fine");
    let theirs = search(&node, stranger.org, "walnut").await;
    assert_eq!(theirs.len(), 1);
    assert_eq!(
        node.get(&room.caller, theirs[0].entry)
            .await
            .expect_err("foreign")
            .code
            .status,
        404
    );
    assert_eq!(
        node.delete(&room.caller, theirs[0].entry)
            .await
            .expect_err("foreign")
            .code
            .status,
        404
    );
}
