//! The cache on disk: whatever happened to a file, it is loaded as it was kept or not at all; whatever happened to the
//! disk, the component is there. `uploads` has the same from a run's side.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bulkhead::sandbox::Sandbox;
use bulkhead::sandbox::compile::{Artifacts, in_child};
use bulkhead_tests::TestHost;
use bulkhead_tests::client::stop_reason;
use bulkhead_tests::folder::{Folder, set_mode};
use bulkhead_tests::host::program;
use bulkhead_tests::raw::Raw;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::sandbox;

const ONE: [u8; 32] = [1; 32];
const TWO: [u8; 32] = [2; 32];

/// A cache with one component in it.
struct Cache {
    folder: Folder,
    sandbox: Sandbox,
    artifacts: Artifacts,
    compiled: Vec<u8>,
}

impl Cache {
    async fn filled() -> Self {
        let folder = Folder::new();
        let (sandbox, _) = sandbox(|_| {});
        let compiled = compile(&sandbox).await;
        let artifacts =
            Artifacts::open(folder.join("cache"), b"a key", &sandbox).expect("a folder");
        let cache = Self {
            folder,
            sandbox,
            artifacts,
            compiled,
        };
        cache.keep(&ONE);
        assert!(cache.loads(&ONE));
        cache
    }

    fn keep(&self, digest: &[u8]) {
        let kept = self
            .artifacts
            .keep(self.sandbox.engine(), digest, &self.compiled);
        kept.unwrap_or_else(|error| panic!("{error:#}"));
    }

    fn loads(&self, digest: &[u8]) -> bool {
        self.artifacts.load(self.sandbox.engine(), digest).is_some()
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        let name = digest.map(|byte| format!("{byte:02x}")).concat();
        let name = format!("{name}-{}.cwasm", self.sandbox.compatibility());
        self.folder.join("cache").join(name)
    }
}

async fn compile(sandbox: &Sandbox) -> Vec<u8> {
    let made = in_child(&program(), sandbox, &Raw::default().bytes()).await;
    made.unwrap_or_else(|failed| panic!("{failed}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_altered_is_never_loaded() {
    let cache = Cache::filled().await;
    let path = cache.path(&ONE);
    let good = fs::read(&path).expect("it is kept");
    let last = good.len() - 1;
    // The code, the header of the compiled file, its body, its end.
    for at in [
        0,
        15,
        31,
        32,
        36,
        50,
        95,
        96,
        good.len() / 2,
        last - 1,
        last,
    ] {
        for bit in [1, 0x80] {
            let mut flipped = good.clone();
            flipped[at] ^= bit;
            fs::write(&path, &flipped).expect("the folder is ours");
            assert!(!cache.loads(&ONE), "byte {at}");
        }
    }
    for length in [0, 1, 31, 32, 33, 100, good.len() / 2, last] {
        fs::write(&path, &good[..length]).expect("the folder is ours");
        assert!(!cache.loads(&ONE), "{length} bytes");
    }
    fs::write(&path, [good.as_slice(), b"\0"].concat()).expect("the folder is ours");
    assert!(!cache.loads(&ONE), "a byte more");
    fs::write(&path, &cache.compiled).expect("the folder is ours");
    assert!(!cache.loads(&ONE), "without a code");
    let huge = fs::File::create(&path).and_then(|file| file.set_len(1 << 40));
    huge.expect("holes cost nothing");
    assert!(!cache.loads(&ONE), "a terabyte");
    fs::write(&path, &good).expect("the folder is ours");
    assert!(cache.loads(&ONE), "as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_anothers_place_is_never_loaded() {
    let cache = Cache::filled().await;
    fs::copy(cache.path(&ONE), cache.path(&TWO)).expect("the folder is ours");
    assert!(!cache.loads(&TWO), "another component's");
    let path = cache.path(&ONE);
    let elsewhere = cache.folder.join("elsewhere");
    fs::rename(&path, &elsewhere).expect("the folder is ours");
    assert!(!cache.loads(&ONE), "none");
    symlink(&elsewhere, &path).expect("the folder is ours");
    assert!(!cache.loads(&ONE), "a link, even to the right one");
    fs::remove_file(&path).expect("it is a link");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("the folder is ours");
    assert!(!cache.loads(&ONE), "a pipe that nobody writes into");
    fs::remove_file(&path).expect("it is a pipe");
    fs::create_dir(&path).expect("the folder is ours");
    assert!(!cache.loads(&ONE), "a folder");
    cache.keep(&ONE);
    fs::remove_dir(&path).expect("it is empty");
    cache.keep(&ONE);
    assert!(cache.loads(&ONE));
    set_mode(&path, 0);
    let root = nix::unistd::geteuid().is_root();
    assert_eq!(
        cache.loads(&ONE),
        root,
        "only root reads what nobody may read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_engines_or_another_keys_file_is_never_loaded() {
    let cache = Cache::filled().await;
    let kept = |key: &[u8], compatibility: &str| {
        let parts = [&ONE, compatibility.as_bytes(), &cache.compiled];
        let file = [&code(key, &parts.concat())[..], &cache.compiled].concat();
        fs::write(cache.path(&ONE), file).expect("the folder is ours");
        cache.loads(&ONE)
    };
    let ours = cache.sandbox.compatibility();
    assert!(
        kept(b"a key", &ours),
        "the code is over digest, engine and bytes"
    );
    assert!(!kept(b"a key", "0123456789abcdef"), "another engine's");
    assert!(!kept(b"another key", &ours), "another database's");
    // Under the right code, but compiled by another engine: wasmtime itself refuses it.
    let other = wasmtime::Engine::default();
    let compiled = other.precompile_component(&Raw::default().bytes());
    let compiled = compiled.unwrap_or_else(|error| panic!("{error:#}"));
    let kept = cache.artifacts.keep(&other, &TWO, &compiled);
    kept.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(!cache.loads(&TWO));
}

/// HMAC-SHA-256 of a short key, once more.
fn code(key: &[u8], text: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text);
    let outer = Sha256::new().chain_update(pad(0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

/// Two hosts, one folder: whoever looks sees a whole file or none, and nothing unfinished stays.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_may_share_a_folder() {
    let cache = Cache::filled().await;
    let again =
        Artifacts::open(cache.folder.join("cache"), b"a key", &cache.sandbox).expect("a folder");
    std::thread::scope(|scope| {
        for artifacts in [&cache.artifacts, &again] {
            scope.spawn(|| {
                for _ in 0..30 {
                    let kept = artifacts.keep(cache.sandbox.engine(), &ONE, &cache.compiled);
                    kept.unwrap_or_else(|error| panic!("{error:#}"));
                }
            });
        }
        for _ in 0..60 {
            assert!(cache.loads(&ONE));
        }
    });
    let part = cache.folder.join("cache").join("left.part");
    fs::write(&part, "unfinished").expect("the folder is ours");
    let open = || Artifacts::open(cache.folder.join("cache"), b"a key", &cache.sandbox).map(drop);
    open().expect("a folder");
    assert!(part.exists(), "its host may still be at it");
    let file = fs::File::options()
        .write(true)
        .open(&part)
        .expect("it is there");
    let now = file
        .metadata()
        .and_then(|found| found.modified())
        .expect("it has a time");
    file.set_modified(now - Duration::from_secs(7_200))
        .expect("it is ours");
    open().expect("a folder");
    assert!(!part.exists());
    let names = fs::read_dir(cache.folder.join("cache")).expect("a folder");
    assert_eq!(names.count(), 1, "the artifact and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_is_made_again() {
    let cache = Cache::filled().await;
    let folder = cache.folder.join("cache");
    fs::remove_dir_all(&folder).expect("it is ours");
    assert!(!cache.loads(&ONE));
    cache.keep(&ONE);
    assert!(cache.loads(&ONE));
    // No folder can be made where a file is.
    fs::remove_dir_all(&folder).expect("it is ours");
    fs::write(&folder, "in the way").expect("it is ours");
    cache.keep(&ONE);
    assert!(!cache.loads(&ONE));
}

#[expect(clippy::print_stdout, reason = "how long it takes is worth a look")]
#[tokio::test(flavor = "multi_thread")]
async fn runs_go_on_without_a_disk() {
    let host = TestHost::start().await;
    let cache = host.data().join("artifacts");
    fs::remove_file(&cache).expect("it is a link to the tests' own");
    fs::write(&cache, "in the way").expect("the folder is the host's");
    let client = host.client("acme").await;
    client.deploy("raw", &Raw::default().bytes()).await;
    for _ in 0..2 {
        let began = Instant::now();
        let events = client.run("raw", &json!({ "input": "x" })).await;
        assert_eq!(stop_reason(&events), "end_turn");
        println!("a run without a cache on disk: {:.1?}", began.elapsed());
    }
}
