//! Reading a directory: what is taken, what is passed over, what is too much.

use std::fs;
use std::os::unix::fs::symlink;

use bulkhead::knowledge::ingest::{Limits, collect};
use bulkhead_tests::folder::Folder;

fn sources(folder: &std::path::Path) -> Vec<String> {
    let files = collect(folder, &Limits::for_test()).expect("it can be read");
    files.into_iter().map(|file| file.source).collect()
}

#[test]
fn text_files_below_the_root_are_taken_in_order_and_links_are_not_followed() {
    let (folder, outside) = (Folder::new(), Folder::new());
    fs::write(outside.join("secret.md"), "secret").expect("it is ours");
    fs::create_dir_all(folder.join("b/deep")).expect("it is ours");
    for name in [
        "z.md",
        "a.TXT",
        "b/deep/c.markdown",
        "b/a.md",
        ".hidden.md",
        "image.png",
        "README",
    ] {
        fs::write(folder.join(name), format!("\u{feff}# {name}\n")).expect("it is ours");
    }
    symlink(outside.join("secret.md"), folder.join("linked.md")).expect("it is ours");
    symlink(&*outside, folder.join("linked")).expect("it is ours");
    symlink(&*folder, folder.join("b/loop")).expect("it is ours");
    let expected = ["a.TXT", "b/a.md", "b/deep/c.markdown", "z.md"];
    assert_eq!(sources(&folder), expected);

    // The root itself may be a link, as in `templates/support/knowledge`.
    symlink(&*folder, outside.join("root")).expect("it is ours");
    assert_eq!(sources(&outside.join("root")), expected);
    let files = collect(&folder, &Limits::for_test()).expect("it can be read");
    let entry = files[3].read().expect("it is UTF-8");
    assert_eq!(
        (entry.content.as_str(), entry.source.as_deref()),
        ("# z.md\n", Some("z.md"))
    );
}

#[test]
fn too_much_of_anything_is_an_error_that_names_it() {
    let refusal = |fill: fn(&std::path::Path)| {
        let folder = Folder::new();
        fill(&folder);
        collect(&folder, &Limits::for_test())
            .expect_err("it is too much")
            .detail
    };
    let many = refusal(|folder| {
        for place in 0..65 {
            fs::write(folder.join(format!("{place}.md")), "x").expect("it is ours");
        }
    });
    assert!(many.contains("more than 64 files"), "{many}");
    let large = refusal(|folder| {
        fs::write(folder.join("large.md"), "x".repeat(65 << 10)).expect("it is ours");
    });
    assert!(
        large.contains("large.md") && large.contains("65536 bytes"),
        "{large}"
    );
    let deep = refusal(|folder| {
        fs::create_dir_all(folder.join("1/2/3/4")).expect("it is ours");
    });
    assert!(deep.contains("deeper than 3"), "{deep}");
    let folder = Folder::new();
    let missing =
        collect(&folder.join("nowhere"), &Limits::default()).expect_err("it is not there");
    assert!(missing.detail.contains("nowhere"), "{missing}");
    fs::write(folder.join("latin.md"), b"caf\xe9").expect("it is ours");
    let file = &collect(&folder, &Limits::default()).expect("it can be read")[0];
    assert!(
        file.read()
            .expect_err("not UTF-8")
            .detail
            .contains("not UTF-8")
    );
}
