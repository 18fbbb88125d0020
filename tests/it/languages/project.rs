//! A project of a template in the target folder, where its packages stay installed from one run of the tests to the
//! next; everything else of it is made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests;
use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;
use tokio::process::Command;

use super::{Language, registries};
use crate::cli::init::init;
use crate::cli::program::{built, command};

/// Whether the language's toolchain works here; where it must, it is a failure that it does not.
pub(super) async fn available(language: &Language) -> bool {
    let installed = folder(language).join(language.kept).join(".bulkhead");
    let mut why = registries::answer(language.toolchain).await;
    if why.is_ok() && !installed.is_file() {
        why = registries::answer(language.registry).await;
    }
    let Err(why) = why else { return true };
    registries::left_out(&format!("the template {}", language.template), &why);
    false
}

fn folder(language: &Language) -> PathBuf {
    guests::root()
        .join("target/languages")
        .join(language.template)
}

/// A project as `init` makes it.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    /// Nobody else builds in it meanwhile.
    _alone: Flock<File>,
}

impl Project {
    pub(super) async fn make(language: &Language) -> Self {
        let folder = folder(language);
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.with_extension("lock")).unwrap();
        let alone = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with(language.kept) {
                remove(&path);
            }
        }
        let new = Folder::new();
        let made = init(&new, &["my-agent", "--template", language.template]).await;
        assert_eq!(made.status, 0, "{made:?}");
        copy(&new.join("my-agent"), &folder);
        assert!(folder.join(language.lock).is_file());
        Self {
            folder,
            _alone: alone,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        "my-agent"
    }

    /// Builds it, and says what was built.
    pub(super) async fn build(&self) -> Value {
        let words = ["build", self.folder.to_str().unwrap(), "--output", "json"];
        let done = built(command(&words)).await;
        assert_eq!(done.status, 0, "{done:?}");
        let document = done.document();
        assert_eq!(document["agent"], self.name());
        document
    }

    /// The tests that the template comes with.
    pub(super) async fn own_tests(&self, language: &Language) {
        let [program, words @ ..] = language.tests else {
            panic!("a template has tests");
        };
        let mut tests = Command::new(program);
        tests
            .args(words)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        let done = tests.output().await.unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    pub(super) fn overwrite(&self, (place, content): (&str, &str)) {
        fs::write(self.folder.join(place), content).unwrap();
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}
