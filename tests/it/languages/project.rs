//! A project of a template in the target folder, where its packages stay installed from one run of the tests to the
//! next; everything else of it is made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests;
use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Language, say};
use crate::cli::init::init;
use crate::cli::program::{built, command};

const REGISTRY_WITHIN: Duration = Duration::from_secs(60);

/// Whether the language's toolchain works here; where it must, it is a failure that it does not.
#[expect(
    clippy::disallowed_methods,
    reason = "what `.ci/run` says of its machine"
)]
pub(super) async fn available(language: &Language) -> bool {
    if folder(language)
        .join(language.kept)
        .join(".bulkhead")
        .is_file()
    {
        return true;
    }
    let [program, words @ ..] = language.registry else {
        return false;
    };
    let mut ask = Command::new(program);
    ask.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let why = match timeout(REGISTRY_WITHIN, ask.output()).await {
        Ok(Ok(output)) if output.status.success() => return true,
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(Err(error)) => format!("{program}: {error}"),
        Err(_) => format!("`{}` does not answer", language.registry.join(" ")),
    };
    let what = format!(
        "LEFT OUT: the template {} is not tested here: {why}",
        language.template
    );
    assert!(
        std::env::var_os("BULKHEAD_TESTS_LANGUAGES").is_none(),
        "{what}"
    );
    say(&what);
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
