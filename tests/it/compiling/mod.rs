//! Compiling: what the child is allowed, who gets one, what a bomb costs everybody else, and what is believed of what
//! comes back, from the child and from the disk.

mod artifacts;
mod bombs;
mod child;
mod lies;
mod places;

use std::path::PathBuf;

use bulkhead::sandbox::{Config, Sandbox};

/// An engine whose children are told apart from all others by their CPU limit.
fn sandbox(change: impl FnOnce(&mut Config)) -> (Sandbox, String) {
    let mut config = Config {
        guests: 1,
        ..Config::default()
    };
    config.compile.cpu_s = 100_000 + bulkhead_tests::folder::random() % 1_000_000_000;
    change(&mut config);
    let mark = format!("\"cpu_s\":{}", config.compile.cpu_s);
    let sandbox = Sandbox::new(config).unwrap_or_else(|error| panic!("{error:#}"));
    (sandbox, mark)
}

/// Processes that live and whose arguments have `mark` in them; a dead one that nobody reaped counts.
fn processes(mark: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").expect("there is /proc");
    all.filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            std::fs::read(path.join("cmdline")).is_ok_and(|words| {
                words
                    .windows(mark.len())
                    .any(|part| part == mark.as_bytes())
            })
        })
        .collect()
}
