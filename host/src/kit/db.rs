//! The database: connecting, migrating, and knowing when its schema is not ours.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use super::error::UNAVAILABLE;
use super::{Error, Result};

/// The migrations of every capability, in order.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// What a connection sends in one transaction without keeping the buffer it took, in bytes. A connection's buffers
/// grow to its largest statement and stay; whoever sends more than this shrinks them when it is done.
pub const BURST: usize = 1 << 20;

/// After this a connection is asked whether it is still there, and its buffers are small again, whatever it sent before.
const QUIET: Duration = Duration::from_secs(1);

/// A host that is silent for so long in the middle of a transaction loses it, and the locks it held: others could not
/// take its runs over. Below the default of `runs.dead_after_ms`.
const FROZEN: Duration = Duration::from_secs(10);

/// Opens a pool. `url` is a PostgreSQL URL; at most `connections` are used.
pub async fn connect(url: &str, connections: u32) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| {
        Error::invalid(format!("The database URL cannot be read: {error}"))
    })?;
    let frozen = (
        "idle_in_transaction_session_timeout",
        FROZEN.as_millis().to_string(),
    );
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        // A connection in steady use is not asked whether it is there each time: that would be a round trip more for
        // each statement, and its next statement tells.
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for < QUIET {
                    return Ok(true);
                }
                connection.shrink_buffers();
                Ok(connection.ping().await.is_ok())
            })
        })
        .connect_with(options.application_name("bulkhead").options([frozen]))
        .await
        .map_err(|error| {
            Error::unavailable(format!("The database cannot be reached: {error}")).caused_by(error)
        })
}

/// How long what a run needs waits for the database, before it says that there is none. A failover takes less.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again while the database is away. What is asked must be harmless when it is asked twice: an answer may be lost.
pub async fn patiently<T, Fut>(what: &str, mut ask: impl FnMut() -> Fut) -> Result<T>
where
    Fut: Future<Output = Result<T>>,
{
    let began = tokio::time::Instant::now();
    let mut wait = Duration::from_millis(20);
    loop {
        match ask().await {
            Err(error) if is_away(&error) && began.elapsed() < PATIENCE => {
                tracing::warn!(
                    what,
                    cause = error.chain(),
                    "the database is away; trying again"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
            outcome => return outcome,
        }
    }
}

/// Whether it may be there again in a moment. A pool that this host has closed will not.
fn is_away(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    error.is(UNAVAILABLE) && !matches!(cause, Some(sqlx::Error::PoolClosed))
}

/// Brings the schema to this host's version; one host does it, others wait on an advisory lock.
pub async fn migrate(db: &PgPool) -> Result<()> {
    MIGRATIONS.run(db).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => Error::unprocessable(format!(
            "The database was migrated by a newer Bulkhead (migration {version} is not known to {}): \
             start that version, or use another database.",
            env!("CARGO_PKG_VERSION"),
        )),
        MigrateError::VersionMismatch(version) => Error::unprocessable(format!(
            "Migration {version} of the database differs from this host's: \
             it was made by another build; use that build or another database.",
        )),
        other => Error::unavailable(format!("The database cannot be migrated: {other}")).caused_by(other),
    })
}

/// A database's schema, as this host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Every migration of this host is applied. There may be more: migrations only add, so that this host goes on
    /// while a newer one begins.
    Usable,
    /// Migrations of this host are missing.
    Behind,
    /// This migration was applied with other statements than this host has.
    Foreign(i64),
}

/// What has been applied, against what this host has.
pub async fn schema(db: &PgPool) -> Result<Schema> {
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("select version, checksum from _sqlx_migrations where success")
            .fetch_all(db)
            .await?;
    for migration in MIGRATIONS.iter() {
        match applied
            .iter()
            .find(|(version, _)| *version == migration.version)
        {
            None => return Ok(Schema::Behind),
            Some((version, checksum)) if *checksum != *migration.checksum => {
                return Ok(Schema::Foreign(*version));
            }
            Some(_) => {}
        }
    }
    Ok(Schema::Usable)
}

/// Rows of a table that nobody has counted yet, before it is counted.
const UNCOUNTED: i64 = 100;

/// Counts tables that have grown and were never analyzed. A plan that was made while a table was empty is kept until its
/// first statistics, and it may walk through all of an organization's rows for each run; the database's own time for that
/// is up to a minute after the first run. Harmless to repeat, and on several hosts at once.
pub async fn analyze_grown(db: &PgPool) -> Result<()> {
    let grown: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', s.schemaname, s.relname) from pg_stat_user_tables s
         where s.schemaname = any (current_schemas(false)) and s.last_analyze is null and s.last_autoanalyze is null
           and s.n_live_tup > $1 and pg_has_role((select relowner from pg_class where oid = s.relid), 'usage')",
    )
    .bind(UNCOUNTED)
    .fetch_all(db)
    .await?;
    for table in grown {
        // A name of this database's own catalogue, quoted by it.
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("analyze {table}")))
            .execute(db)
            .await?;
    }
    Ok(())
}

/// A random key that every host of this database shares, made by the first one that asks.
pub async fn shared_key(db: &PgPool, name: &str, random: &super::Random) -> Result<[u8; 32]> {
    sqlx::query("insert into host_settings (name, value) values ($1, $2) on conflict do nothing")
        .bind(name)
        .bind(&random.bytes::<32>()[..])
        .execute(db)
        .await?;
    let value: Vec<u8> = sqlx::query_scalar("select value from host_settings where name = $1")
        .bind(name)
        .fetch_one(db)
        .await?;
    value
        .try_into()
        .map_err(|_| Error::internal("a shared key is not 32 bytes"))
}
