//! Archives from outside: what is in them comes out as it is, and whatever they try, nothing is written elsewhere,
//! nothing is left of them and the refusal is one line.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bulkhead::kit::unpack::{Bounds, Links, Plan, Refused, Unpacked, link, unpack_as};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::tarball::Tarball;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

const PLAN: Plan = Plan {
    bounds: Bounds {
        entries: 20,
        bytes: 1 << 20,
        file_bytes: 256 << 10,
    },
    strip: 1,
    links: Links::Inside,
};

#[test]
fn what_is_in_it_comes_out_as_it_is() {
    let folder = Folder::new();
    let archive = Tarball::new()
        .global("comment=made for a test")
        .folder("package/")
        .folder("package/bin")
        .program("package/bin/run", b"#!/bin/sh\necho it runs\n")
        .file("package/share/deep/er/notes.txt", &[7; 100_000])
        .file(
            &format!("package/{}/name", "long".repeat(40)),
            b"a long path",
        )
        .symlink("package/bin/also", "run")
        .symlink("package/latest", "share/../bin/also")
        .done();
    let unpacked = install(&folder, &archive, PLAN).expect("there is nothing wrong with it");
    assert_eq!((unpacked.files, unpacked.bytes), (3, 100_034));
    let made = folder.join("made");
    let script = fs::read_to_string(made.join("latest")).expect("its links lead to it");
    assert!(script.ends_with("it runs\n"));
    let notes = made.join("share/deep/er/notes.txt");
    assert_eq!(fs::read(&notes).unwrap(), [7; 100_000]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(
        ["share/deep/er/notes.txt", "", "share/deep", "bin/run"].map(|path| mode(&made.join(path))),
        [0o644, 0o755, 0o755, 0o755]
    );
    assert_eq!(names(&folder), ["made"], "nothing beside it");

    let again = install(&folder, &archive, PLAN).unwrap_err();
    assert!(again.to_string().contains("rename"), "{again}");
    assert!(notes.is_file() && names(&folder) == ["made"]);
}

/// Every way out, by itself, and what is said of it.
fn ways_out() -> Vec<(&'static str, Vec<u8>)> {
    let body = b"escaped";
    let file = |path: &str| Tarball::new().raw(path, body).done();
    let link = |at: &str, to: &str| Tarball::new().file("p/f", body).symlink(at, to).done();
    let through = Tarball::new()
        .symlink("p/door", "..")
        .file("p/door/escaped", body)
        .done();
    let chained = Tarball::new()
        .folder("p/top")
        .folder("p/a/b/c")
        .symlink("p/a/b/c/d", "../../../top")
        .symlink("p/a/b/c/e", "d/../..")
        .done();
    vec![
        ("out of its folder", file("../escaped")),
        ("out of its folder", file("p/../../escaped")),
        ("out of its folder", file("p/x/../../../escaped")),
        ("at the root", file("/tmp/bulkhead-escaped")),
        ("backslash", file("p\\..\\..\\escaped")),
        ("control character", file("p/\u{1b}[2Jescaped")),
        ("above the folders", file("escaped")),
        ("outside", link("p/out", "../escaped")),
        ("outside", link("p/out", "/etc/passwd")),
        ("outside", link("p/a/out", "../../escaped")),
        ("outside", link("p/out", "")),
        ("nothing is there", link("p/out", "nowhere")),
        ("nothing is there", link("p/loop", "loop")),
        ("outside", chained),
        ("in the archive", through),
    ]
}

/// What no archive of files needs.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let body = b"escaped";
    vec![
        (
            "a hard link",
            Tarball::new().hard("p/h", "/etc/passwd").done(),
        ),
        (
            "a pipe",
            Tarball::new()
                .special("p/fifo", tar::EntryType::Fifo)
                .done(),
        ),
        (
            "a device",
            Tarball::new()
                .special("p/null", tar::EntryType::Char)
                .done(),
        ),
        (
            "unusual",
            Tarball::new()
                .special("p/volume", tar::EntryType::new(b'V'))
                .done(),
        ),
        (
            "damaged",
            Tarball::new()
                .special("p/gaps", tar::EntryType::GNUSparse)
                .done(),
        ),
        (
            "twice",
            Tarball::new().file("p/a", body).file("p/a", body).done(),
        ),
        (
            "twice",
            Tarball::new().file("p/a", body).file("p/a/b", body).done(),
        ),
        (
            "twice",
            Tarball::new().file("p/a", body).symlink("p/a", "a").done(),
        ),
        ("no file", Tarball::new().folder("p/only").done()),
    ]
}

#[test]
fn whatever_leads_out_is_refused_and_nothing_is_left() {
    let cases = ways_out().into_iter().chain(kinds());
    for (said, archive) in cases {
        refused(said, &archive, PLAN);
    }
    let strict = Plan {
        links: Links::Refuse,
        ..PLAN
    };
    let also = Tarball::new().file("p/f", b"x").symlink("p/also", "f");
    refused("a link", &also.done(), strict);
}

#[test]
fn what_is_too_much_ends_where_it_is() {
    let many = (0..30).fold(Tarball::new(), |all, n| all.file(&format!("p/{n}"), b"x"));
    refused("more than 20 entries", &many.done(), PLAN);
    let deep = Tarball::new().file(&format!("p/{}f", "d/".repeat(25)), b"x");
    refused("more than 20 entries", &deep.done(), PLAN);
    let large = Tarball::new().file("p/large", &vec![0; 300 << 10]).done();
    refused("larger than 262144 bytes", &large, PLAN);
    // 20 MiB of nothing, less than a hundredth of that as it comes.
    let bomb = (0..100).fold(Tarball::new(), |all, n| {
        all.file(&format!("p/{n}"), &[0; 200 << 10])
    });
    let bomb = bomb.done();
    let wide = Bounds {
        entries: 5_000,
        ..PLAN.bounds
    };
    let wide = Plan {
        bounds: wide,
        ..PLAN
    };
    assert!(bomb.len() < 200 << 10, "{} bytes", bomb.len());
    refused("more than 1048576 bytes", &bomb, wide);
    // A name of many megabytes, before any entry.
    let named = Tarball::new().file(&format!("p/{}", "n".repeat(8 << 20)), b"x");
    refused("more than 1048576 bytes", &named.done(), wide);
}

#[test]
fn what_is_damaged_is_told() {
    let whole = Tarball::new()
        .file(
            "p/a",
            &(0..200_000_u32).map(|n| n as u8).collect::<Vec<_>>(),
        )
        .file("p/b", b"the end")
        .done();
    for cut in [0, 1, 10, 100, whole.len() / 2, whole.len() - 1] {
        refused("damaged", &whole[..cut], PLAN);
    }
    let mut flipped = whole;
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    refused("damaged", &flipped, PLAN);
    refused("damaged", b"<!doctype html><title>404</title>", PLAN);
}

#[test]
fn what_an_interrupted_call_left_is_cleared() {
    let folder = Folder::new();
    fs::create_dir_all(folder.join("made.part/bin")).unwrap();
    fs::write(folder.join("made.part/bin/half"), "half").unwrap();
    let archive = Tarball::new().file("p/whole", b"whole").done();
    install(&folder, &archive, PLAN).expect("it is unpacked");
    assert_eq!(names(&folder), ["made"]);
    assert_eq!(names(&folder.join("made")), ["whole"]);
}

#[test]
fn a_link_is_made_only_to_what_is_inside() {
    let folder = Folder::new();
    let dir = open(&folder);
    fs::create_dir(folder.join("lib")).unwrap();
    fs::write(folder.join("lib/libpq.so.5.17"), "").unwrap();
    link(&dir, Path::new("lib/libpq.so"), Path::new("libpq.so.5.17")).expect("it is there");
    assert!(folder.join("lib/libpq.so").is_file());
    for (at, to) in [
        ("lib/out", "../../out"),
        ("../out", "lib"),
        ("lib/none", "none"),
        ("", "lib"),
    ] {
        let refused = link(&dir, Path::new(at), Path::new(to)).unwrap_err();
        assert!(matches!(refused, Refused::Link { .. }), "{at}: {refused}");
    }
}

fn refused(said: &str, archive: &[u8], plan: Plan) {
    let folder = Folder::new();
    let sandbox = folder.join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let error = install(&sandbox, archive, plan)
        .expect_err(said)
        .to_string();
    assert!(error.contains(said), "{said}: {error}");
    assert!(
        !error.contains(['\n', '\x1b']) && error.len() < 500,
        "{error:?}"
    );
    assert_eq!(names(&sandbox), Vec::<String>::new(), "{said}");
    assert_eq!(names(&folder), ["sandbox"], "{said}");
}

fn install(folder: &Path, archive: &[u8], plan: Plan) -> Result<Unpacked, Refused> {
    unpack_as(archive, (&open(folder), "made"), &plan, |_| Ok(()))
}

fn open(folder: &Path) -> Dir {
    Dir::open_ambient_dir(folder, ambient_authority()).expect("it is there")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
