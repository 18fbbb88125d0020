//! The faults, each a function that does it and a line that says what the round is like. A new one is a function in the
//! file of what suffers, and a row in its table.

mod clients;
mod database;
mod files;
mod nodes;
mod provider;

use std::pin::Pin;
use std::sync::Arc;

use super::chance::Chance;
use super::readers::Manners;
use super::stage::Stage;

type Acting = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
pub(super) type Setting = (&'static str, &'static str);

/// A fault and the round it happens in.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    pub about: &'static str,
    /// Lets it happen; when this returns, it is over.
    pub act: fn(Arc<Stage>, Chance) -> Acting,
    pub nodes: usize,
    /// The least and the most runs, the most instructions of each, and the time over which they begin.
    pub runs: (u64, u64),
    pub length: u64,
    pub over_ms: u64,
    pub manners: Manners,
    /// A PostgreSQL of its own, on a disk of this size where there is one.
    pub own_cluster: bool,
    pub disk_bytes: Option<u64>,
    /// Each node compiles its guests for itself.
    pub own_artifacts: bool,
    /// Settings of every node, and of each.
    pub settings: &'static [Setting],
    pub each: &'static [&'static [Setting]],
    /// Errors in the hosts' logs that it is known to cause.
    pub may_log: &'static [&'static str],
    /// How runs may end besides `end_turn`.
    pub may_end: &'static [&'static str],
    /// How often an announced request may be sent.
    pub tries: u64,
}

impl Fault {
    /// Where a fault says nothing else.
    const fn plain(
        name: &'static str,
        about: &'static str,
        act: fn(Arc<Stage>, Chance) -> Acting,
    ) -> Self {
        Self {
            name,
            about,
            act,
            nodes: 2,
            runs: (12, 24),
            length: 14,
            over_ms: 900,
            manners: Manners::PLAIN,
            own_cluster: false,
            disk_bytes: None,
            own_artifacts: false,
            settings: &[("MODELS__TRIES", "1")],
            each: &[],
            may_log: &[],
            may_end: &[],
            tries: 1,
        }
    }
}

/// Every fault there is.
pub const ALL: &[&[Fault]] = &[
    nodes::FAULTS,
    database::FAULTS,
    provider::FAULTS,
    clients::FAULTS,
    files::FAULTS,
];

/// All of them, in order.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    ALL.iter().flat_map(|faults| faults.iter())
}

/// The fault of a name.
pub fn named(name: &str) -> Option<&'static Fault> {
    all().find(|fault| fault.name == name)
}
