//! Knowledge as its promises, on the room itself: what was put is found at once on every node, the index is never
//! truth, questions of people find their page.

mod entries;
mod guest;
mod http;
mod index;
mod ingest;
mod questions;

use std::path::Path;

use bulkhead::identity::{Caller, Identity, Scope};
use bulkhead::kit::http::Cursors;
use bulkhead::kit::{Base, Clock, Ids, OrgId, Random, Tasks, db};
use bulkhead::knowledge::{Config, Hit, Knowledge, NewEntry, Put, Query};
use bulkhead_tests::database::{self, Database};
use bulkhead_tests::folder::Folder;
use sqlx::PgPool;

/// A database with one organization, and as many nodes on it as a test wants.
struct Room {
    db: PgPool,
    clock: Clock,
    identity: Identity,
    caller: Caller,
    folder: Folder,
    _database: Database,
}

impl Room {
    async fn new() -> Self {
        let database = database::fresh().await;
        let db = db::connect(database.url(), 8)
            .await
            .expect("the database is there");
        let clock = Clock::manual(Clock::system().now());
        let identity = Identity::new(&base(&db, &clock));
        let caller = organization(&identity, "first").await;
        Self {
            db,
            clock,
            identity,
            caller,
            folder: Folder::new(),
            _database: database,
        }
    }

    fn org(&self) -> OrgId {
        self.caller.org
    }

    /// A node with its own index folder.
    fn node(&self, name: &str) -> Knowledge {
        self.node_with(Config {
            index: self.folder.join(name),
            ..Config::for_test()
        })
    }

    fn node_with(&self, config: Config) -> Knowledge {
        Knowledge::new(&base(&self.db, &self.clock), config)
    }

    async fn put(&self, node: &Knowledge, source: &str, content: &str) -> Put {
        let put = node.put(&self.caller, None, entry(source, content)).await;
        put.expect("the entry is fine")
    }

    /// The sources of what is found, best first.
    async fn sources(&self, node: &Knowledge, text: &str) -> Vec<String> {
        let hits = search(node, self.org(), text).await;
        hits.into_iter().filter_map(|hit| hit.source).collect()
    }
}

fn base(db: &PgPool, clock: &Clock) -> Base {
    Base {
        db: db.clone(),
        clock: clock.clone(),
        ids: Ids::new(clock.clone(), Random::system()),
        cursors: Cursors::new(b"test"),
        tasks: Tasks::current(),
        tracing: Default::default(),
    }
}

async fn organization(identity: &Identity, slug: &str) -> Caller {
    let made = identity.create_organization(slug).await;
    let (org, key, _) = made.expect("the slug is free");
    Caller::new(org, slug.into(), key.id, [Scope::Admin].into())
}

async fn search(node: &Knowledge, org: OrgId, text: &str) -> Vec<Hit> {
    node.search(org, &query(text))
        .await
        .expect("it can be searched")
}

fn query(text: &str) -> Query {
    Query {
        text: text.into(),
        limit: 8,
        tags: Vec::new(),
    }
}

fn entry(source: &str, content: &str) -> NewEntry {
    NewEntry {
        content: content.into(),
        source: Some(source.into()),
        ..NewEntry::default()
    }
}

/// The one folder of the one organization's index.
fn index_folder(root: &Path) -> std::path::PathBuf {
    let mut folders = std::fs::read_dir(root).expect("the node made it");
    folders
        .next()
        .expect("it was searched")
        .expect("it can be read")
        .path()
}
