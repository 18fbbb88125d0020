//! A database per test, copied from a template that is migrated once per run.
//! On the server of `DATABASE_URL`, else on the one the keeper starts for the run.
//! Must hold: no test sees another's rows; databases are dropped with their value.

use std::{
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
    thread,
};

use bulkhead::kit::db;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    folder::random,
    keeper::{self, Share},
};

static SHARE: OnceLock<Result<Share, String>> = OnceLock::new();
/// Held while a template is made; any number will do that nobody else uses.
const TEMPLATE_LOCK: i64 = 0x6275_6c6b;

/// An empty database with Bulkhead's schema.
pub async fn fresh() -> Database {
    let mut hasher = DefaultHasher::new();
    db::MIGRATIONS
        .iter()
        .for_each(|migration| migration.checksum.hash(&mut hasher));
    let template = format!("bulkhead_template_{:016x}", hasher.finish());
    from_template(&template, |url| async move {
        let pool = db::connect(&url, 1)
            .await
            .map_err(|error| format!("{error:?}"))?;
        db::migrate(&pool)
            .await
            .map_err(|error| format!("{error:?}"))?;
        pool.close().await;
        Ok(())
    })
    .await
}

/// A copy of the named template, which `migrate` fills, given its URL, when it does not exist yet.
/// It must have closed its connections when it returns.
pub async fn from_template<M, F>(template: &str, migrate: M) -> Database
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), String>>,
{
    let server = server_url();
    let mut admin = connect(server).await;
    if !is_made(&mut admin, template).await {
        make(&mut admin, template, migrate).await;
    }
    let name = format!("bulkhead_test_{:016x}", random());
    run(
        &mut admin,
        &format!("create database {name} template {template}"),
    )
    .await;
    // A close that fails leaves the connection to be closed by the drop.
    let _ = admin.close().await;
    Database {
        url: with_database(server, &name),
        name,
    }
}

/// One test's own database.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
}

impl Database {
    /// Its URL, for sqlx and for a host.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    /// On a thread of its own: this may run in a runtime, or while a test panics.
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(server_url()).await?;
                sqlx::query(AssertSqlSafe(statement))
                    .execute(&mut admin)
                    .await
            })
        });
        // Best effort: the server of a run ends with it.
        let _ = dropping.join();
    }
}

/// The URL of the run's server, started at the first call.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness has no configuration to read it"
)]
pub fn server_url() -> &'static str {
    static GIVEN: OnceLock<Option<String>> = OnceLock::new();
    if let Some(url) = GIVEN.get_or_init(|| std::env::var("DATABASE_URL").ok()) {
        return url;
    }
    match SHARE.get_or_init(|| Share::join(&keeper::folder())) {
        Ok(share) => share.url(),
        Err(complaint) => panic!("no database for the tests: {complaint}"),
    }
}

async fn is_made(admin: &mut PgConnection, template: &str) -> bool {
    // The mark is set when the migrations are through.
    let sql = "select 1 from pg_database where datname = $1 and datistemplate";
    let found = sqlx::query(sql).bind(template).fetch_optional(admin).await;
    found
        .unwrap_or_else(|error| panic!("templates cannot be listed: {error}"))
        .is_some()
}

async fn make<M, F>(admin: &mut PgConnection, template: &str, migrate: M)
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), String>>,
{
    run(admin, &format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await;
    if !is_made(admin, template).await {
        run(admin, &format!("drop database if exists {template}")).await;
        run(
            admin,
            &format!("create database {template} template template0"),
        )
        .await;
        if let Err(error) = migrate(with_database(server_url(), template)).await {
            panic!("the template cannot be migrated: {error}");
        }
        run(
            admin,
            &format!("alter database {template} is_template true"),
        )
        .await;
    }
    run(
        admin,
        &format!("select pg_advisory_unlock({TEMPLATE_LOCK})"),
    )
    .await;
}

async fn connect(url: &str) -> PgConnection {
    let connected = PgConnection::connect(url).await;
    connected.unwrap_or_else(|error| panic!("the tests' server does not answer: {error}"))
}

async fn run(admin: &mut PgConnection, statement: &str) {
    if let Err(error) = sqlx::query(AssertSqlSafe(statement)).execute(admin).await {
        panic!("{statement}: {error}");
    }
}

/// The URL with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let server = match address.split_once("://") {
        Some((_, rest)) => {
            &address[..address.len() - rest.len() + rest.find('/').unwrap_or(rest.len())]
        }
        None => address,
    };
    let mut url = format!("{server}/{name}");
    if !options.is_empty() {
        write!(url, "?{options}").expect("a string takes everything");
    }
    url
}
