//! The audit log: its chain, its rows, its routes, and what an export proves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chain;

use bulkhead::kit::OrgId;
use bulkhead::ledger::audit::{Action, Actor, Entry, Target};
use bulkhead_tests::TestHost;
use time::OffsetDateTime;

/// The organization's id, made where there is none.
async fn org(host: &TestHost, slug: &str) -> OrgId {
    host.client(slug).await;
    let identity = &host.host().app.identity;
    identity.find_organization(slug).await.unwrap().unwrap()
}

fn entry(org: OrgId, at: OffsetDateTime, what: usize) -> Entry {
    let target = Target::new("thing", what);
    Entry::new(org, at, Actor::operator(), Action::LimitsSet, target)
}
