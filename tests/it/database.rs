//! The harness's own promises: databases of their own, and nothing left when the tests are gone.

use std::{fs, time::Duration};

use bulkhead_tests::{
    database,
    folder::Folder,
    keeper::{self, Share},
};
use sqlx::{Connection, PgConnection};

use crate::postgres::{ask, eventually, works_in};

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (database::fresh().await, database::fresh().await);
    ask(one.url(), "create table mine (id int)").await;
    let mut tables = Vec::new();
    for database in [&one, &other] {
        tables.push(
            ask(
                database.url(),
                "select count(*)::text from pg_class where relname = 'mine'",
            )
            .await,
        );
    }
    assert_eq!(tables, ["1", "0"]);
    let migrated = ask(
        other.url(),
        "select bool_and(success)::text from _sqlx_migrations",
    )
    .await;
    assert_eq!(migrated, "true");

    let name = ask(one.url(), "select current_database()").await;
    drop(one);
    let sql = format!("select count(*)::text from pg_database where datname = '{name}'");
    assert_eq!(ask(other.url(), &sql).await, "0");
}

#[tokio::test]
async fn a_host_that_is_silent_in_a_transaction_loses_it() {
    let database = database::fresh().await;
    ask(database.url(), "create table mine (id int)").await;
    ask(database.url(), "insert into mine values (1)").await;
    let pool = bulkhead::kit::db::connect(database.url(), 1).await.unwrap();
    let mut frozen = pool.begin().await.unwrap();
    let lock = "select id::text from mine for update";
    sqlx::query(lock).execute(&mut *frozen).await.unwrap();
    // Waits for the lock of a host that says nothing more.
    assert_eq!(ask(database.url(), lock).await, "1");
    let gone = sqlx::query(lock).execute(&mut *frozen).await.unwrap_err();
    let error = bulkhead::kit::Error::from(gone);
    assert!(error.is(bulkhead::kit::error::UNAVAILABLE), "{error}");
    drop(frozen);
    // And the pool is as good as new.
    sqlx::query(lock).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_table_that_has_grown_is_counted_soon() {
    let database = database::fresh().await;
    let (url, rows) = (
        database.url(),
        "insert into mine select generate_series(1, ",
    );
    let pool = bulkhead::kit::db::connect(url, 1).await.unwrap();
    // Nobody but the host counts it.
    ask(
        url,
        "create table mine (id int) with (autovacuum_enabled = false)",
    )
    .await;
    let counted =
        "select (last_analyze is not null)::text from pg_stat_user_tables where relname = 'mine'";
    for (more, told) in [(100, "false"), (1, "true")] {
        ask(url, &format!("{rows}{more})")).await;
        let there = "select n_live_tup::text from pg_stat_user_tables where relname = 'mine'";
        let expected = if more == 100 { "100" } else { "101" };
        while ask(url, there).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bulkhead::kit::db::analyze_grown(&pool).await.unwrap();
        assert_eq!(ask(url, counted).await, told);
    }
    pool.close().await;
}

#[tokio::test]
async fn the_keeper_ends_with_its_last_guest_and_takes_everything_with_it() {
    let (outer, begin) = (Folder::new(), std::time::Instant::now());
    let folder = outer.join("keeper");
    let first = Share::join(&folder).expect("PostgreSQL is installed");
    let second = Share::join(&folder).expect("it runs already");
    assert_eq!(first.url(), second.url());
    drop(first);
    assert_eq!(ask(second.url(), "select 'still here'").await, "still here");
    let cluster = fs::canonicalize(folder.join("data/postgres")).expect("it runs");
    assert!(!works_in(&cluster).is_empty());
    drop(second);
    eventually("the keeper's folder is gone", || !folder.exists()).await;
    assert_eq!(works_in(&cluster), Vec::<i32>::new());
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_killed_keeper_is_succeeded() {
    let outer = Folder::new();
    let folder = outer.join("keeper");
    let mut keeper = keeper::spawn(&folder).expect("cargo built it");
    eventually("the keeper listens", || keeper::socket(&folder).exists()).await;
    let orphaned = Share::join(&folder).expect("it listens");
    keeper.kill().expect("it is ours");
    keeper.wait().expect("it is ours");
    drop(orphaned);
    let share = Share::join(&folder).expect("another one starts");
    PgConnection::connect(share.url())
        .await
        .expect("its server answers");
    drop(share);
    eventually("the keeper's folder is gone", || !folder.exists()).await;
}
