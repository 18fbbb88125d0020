//! The embedded database as its promises: two commands on a fresh machine, and whatever happened
//! to the last host, the next start works or says in one line what to do.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use bulkhead::postgres::{
    Error, Options, Postgres,
    find::{Search, usual_folders},
};
use bulkhead_tests::{
    folder::{Folder, set_mode},
    keeper,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid, getpgid, getpgrp},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

#[tokio::test]
async fn a_fresh_folder_becomes_a_private_database() {
    let folder = Folder::new();
    let postgres = start(&folder.join("data")).await.expect("it starts");
    let sql = "select concat_ws(' ', current_user, current_database(), \
               current_setting('server_encoding'), datcollate, \
               '<' || current_setting('listen_addresses') || '>') \
               from pg_database where datname = current_database()";
    assert_eq!(
        ask(postgres.url(), sql).await,
        "bulkhead bulkhead UTF8 C <>"
    );

    let psql = Search::usual(None, None)
        .run()
        .map(|found| found.folder.join("psql"));
    let psql = psql
        .ok()
        .filter(|psql| psql.is_file())
        .unwrap_or_else(|| "psql".into());
    // The client is a package of its own; the URL is tested with it where it is installed.
    if let Ok(output) = Command::new(psql)
        .args([postgres.url(), "-Atc", "select 6 * 7"])
        .output()
    {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "42",
            "{output:?}"
        );
    }

    let pid = i32::try_from(postgres.pid()).expect("pids are small");
    let group = getpgid(Some(Pid::from_raw(pid))).expect("it lives");
    assert_eq!(
        group,
        Pid::from_raw(pid),
        "Ctrl-C must not reach it before the host stops it"
    );
    assert_ne!(group, getpgrp());

    let cluster = fs::canonicalize(folder.join("data/postgres")).expect("it was made");
    assert!(works_in(&cluster).contains(&pid));
    postgres.stop().await.expect("it stops");
    assert_eq!(works_in(&cluster), Vec::<i32>::new());
    assert!(!folder.join("data/socket").exists());
}

#[tokio::test]
async fn rows_survive_a_restart_which_is_quick() {
    let folder = Folder::new();
    let options = Options {
        durable: true,
        ..options(&folder.join("data"))
    };
    let postgres = Postgres::start(options.clone()).await.expect("it starts");
    ask(postgres.url(), "create table kept as select 'a row' as row").await;
    assert_eq!(ask(postgres.url(), "show fsync").await, "on");
    postgres.stop().await.expect("it stops");

    let begin = Instant::now();
    let postgres = Postgres::start(options).await.expect("it starts again");
    // Some 100 ms on an idle machine; the bound is for one that runs all tests at once.
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "took {:?}",
        begin.elapsed()
    );
    assert_eq!(ask(postgres.url(), "select row from kept").await, "a row");
    postgres.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_second_host_is_refused_by_naming_the_first() {
    let folder = Folder::new();
    let first = start(&folder.join("data")).await.expect("it starts");
    let error = start(&folder.join("data"))
        .await
        .expect_err("the folder is taken");
    assert!(matches!(error, Error::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    assert_one_line(&error, &[&std::process::id().to_string(), "--data"]);
    assert_eq!(ask(first.url(), "select 'unharmed'").await, "unharmed");
    first.stop().await.expect("it stops");
    start(&folder.join("data"))
        .await
        .expect("the lock is free")
        .stop()
        .await
        .expect("it stops");
}

#[tokio::test]
async fn dropping_it_leaves_no_process() {
    let folder = Folder::new();
    let postgres = start(&folder.join("data")).await.expect("it starts");
    let cluster = fs::canonicalize(folder.join("data/postgres")).expect("it was made");
    drop(postgres);
    eventually("the server is gone", || works_in(&cluster).is_empty()).await;
    start(&folder.join("data"))
        .await
        .expect("it starts again")
        .stop()
        .await
        .expect("it stops");
}

#[tokio::test]
async fn stale_files_of_a_server_do_not_stop_the_next() {
    let (folder, neighbour) = (Folder::new(), Folder::new());
    let neighbour = start(&neighbour.join("data")).await.expect("it starts");
    let data = folder.join("data");
    start(&data)
        .await
        .expect("it starts")
        .stop()
        .await
        .expect("it stops");

    // A dead process, one that lives but works elsewhere, and files cut short by a full disk.
    let cluster = data.join("postgres");
    for pid in [
        "2147483646".into(),
        neighbour.pid().to_string(),
        "1".into(),
        "12x".into(),
        String::new(),
    ] {
        let rest = format!("\n{}\n1700000000\n5432\n\n\n", cluster.display());
        let text = if pid.is_empty() { pid } else { pid + &rest };
        fs::create_dir_all(data.join("socket")).expect("the folder is ours");
        for file in [
            "postgres/postmaster.pid",
            "socket/.s.PGSQL.5432.lock",
            "socket/.s.PGSQL.5432",
        ] {
            fs::write(data.join(file), &text).expect("the folder is ours");
        }
        let postgres = start(&data)
            .await
            .unwrap_or_else(|error| panic!("after {text:?}: {error}"));
        postgres.stop().await.expect("it stops");
    }
    assert_eq!(ask(neighbour.url(), "select 'unharmed'").await, "unharmed");
    neighbour.stop().await.expect("it stops");
}

#[tokio::test]
async fn half_made_clusters_are_replaced_and_no_file_of_them_is_lost() {
    let folder = Folder::new();
    let data = folder.join("data");
    fs::create_dir_all(data.join("postgres.new-1/base")).expect("the folder is ours");
    fs::create_dir_all(data.join("postgres/base")).expect("the folder is ours");
    fs::write(data.join("postgres/PG_VERSION"), "15\n").expect("the folder is ours");
    set_mode(&data, 0o711);
    let postgres = start(&data).await.expect("it starts");
    assert_eq!(ask(postgres.url(), "select 'whole'").await, "whole");
    postgres.stop().await.expect("it stops");
    assert!(!data.join("postgres.new-1").exists());
    assert!(data.join("postgres.broken-1/PG_VERSION").exists());
}

#[tokio::test]
async fn a_host_killed_while_it_makes_the_cluster_is_followed_by_one_that_works() {
    let folder = Folder::new();
    let (work, data) = (folder.join("keeper"), folder.join("keeper/data"));
    let mut host = keeper::spawn(&work).expect("cargo built it");
    eventually("initdb is at work", || {
        let entries = fs::read_dir(&data).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.path());
        names.any(|new| new.to_string_lossy().contains(".new-") && new.join("base").exists())
    })
    .await;
    host.kill().expect("it is ours");
    host.wait().expect("it is ours");
    assert!(!data.join("postgres").exists());
    let postgres = start(&data).await.expect("it starts");
    assert_eq!(ask(postgres.url(), "select 'whole'").await, "whole");
    postgres.stop().await.expect("it stops");
}

#[tokio::test]
async fn the_server_of_a_killed_host_ends_by_itself() {
    let folder = Folder::new();
    let (data, mut host) = running_host(&folder).await;
    let cluster = fs::canonicalize(data.join("postgres")).expect("it runs");
    assert!(!works_in(&cluster).is_empty());
    host.kill().expect("it is ours");
    host.wait().expect("it is ours");
    eventually("the server is gone", || works_in(&cluster).is_empty()).await;
}

#[tokio::test]
async fn a_server_that_outlived_host_and_watcher_is_stopped_by_the_next_start() {
    let folder = Folder::new();
    let (data, mut host) = running_host(&folder).await;
    let cluster = fs::canonicalize(data.join("postgres")).expect("it runs");
    let url = keeper::Share::join(&folder.join("keeper"))
        .expect("it runs")
        .url()
        .to_owned();
    ask(&url, "create table kept as select 'a row' as row").await;
    let before = works_in(&cluster);
    for watcher in processes(|arguments| {
        arguments.contains("bulkhead-watcher") && arguments.contains(&*cluster.to_string_lossy())
    }) {
        kill(Pid::from_raw(watcher), Signal::SIGKILL).expect("it is ours");
    }
    host.kill().expect("it is ours");
    host.wait().expect("it is ours");
    let postgres = start(&data).await.expect("it starts");
    assert!(works_in(&cluster).iter().all(|pid| !before.contains(pid)));
    assert_eq!(ask(postgres.url(), "select row from kept").await, "a row");
    postgres.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_killed_server_recovers_though_its_backends_linger() {
    let folder = Folder::new();
    let postgres = start(&folder.join("data")).await.expect("it starts");
    ask(postgres.url(), "create table kept as select 'a row' as row").await;
    ask(postgres.url(), "checkpoint").await;
    let pid = i32::try_from(postgres.pid()).expect("pids are small");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is ours");
    drop(postgres);
    let postgres = start(&folder.join("data")).await.expect("it recovers");
    assert_eq!(ask(postgres.url(), "select row from kept").await, "a row");
    postgres.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_folder_the_servers_user_cannot_reach_points_to_one_it_can() {
    let folder = Folder::new();
    set_mode(&folder, 0o700);
    let data = folder.join("data");
    let postgres = start(&data).await.expect("it starts");
    ask(postgres.url(), "create table kept as select 'a row' as row").await;
    postgres.stop().await.expect("it stops");
    let postgres = start(&data).await.expect("it starts again");
    assert_eq!(ask(postgres.url(), "select row from kept").await, "a row");
    postgres.stop().await.expect("it stops");

    let pointer = fs::read_to_string(data.join("postgres.path"));
    if !geteuid().is_root() {
        // The server runs as this user, who can reach the folder: it must be where it belongs.
        assert!(pointer.is_err() && data.join("postgres/PG_VERSION").exists());
        return;
    }
    let base = PathBuf::from(pointer.expect("root's server runs as another user"));
    assert!(base.join("postgres/PG_VERSION").exists() && !data.join("postgres").exists());
    // A deleted data folder stays deleted, although what it pointed to is still there.
    fs::remove_dir_all(&data).expect("the folder is ours");
    let postgres = start(&data).await.expect("it starts anew");
    assert_eq!(
        ask(
            postgres.url(),
            "select coalesce(to_regclass('kept')::text, 'none')"
        )
        .await,
        "none"
    );
    postgres.stop().await.expect("it stops");
    assert!(base.join("postgres.old/PG_VERSION").exists());
    fs::remove_dir_all(&base).expect("the folder is ours");
}

#[tokio::test]
async fn long_and_odd_paths_work() {
    let folder = Folder::new();
    for name in ["long".repeat(30), "a b,c'd\"e%20f?g&h#ü".to_owned()] {
        let postgres = start(&folder.join(name).join("data"))
            .await
            .expect("it starts");
        assert_eq!(ask(postgres.url(), "select 'here'").await, "here");
        let socket = ask(postgres.url(), "show unix_socket_directories").await;
        postgres.stop().await.expect("it stops");
        assert!(!Path::new(socket.trim_matches('"')).exists());
    }
}

#[tokio::test]
async fn a_failing_start_quotes_the_log() {
    let folder = Folder::new();
    let data = folder.join("data");
    start(&data)
        .await
        .expect("it starts")
        .stop()
        .await
        .expect("it stops");
    fs::write(
        data.join("postgres/postgresql.auto.conf"),
        "no_such_setting = 1\n",
    )
    .expect("ours");
    let error = start(&data).await.expect_err("the setting is wrong");
    assert_one_line(
        &error,
        &["did not start", "postgres.log", "no_such_setting"],
    );
}

#[tokio::test]
async fn the_log_is_bounded() {
    let folder = Folder::new();
    let data = folder.join("data");
    fs::create_dir(&data).expect("the folder is ours");
    fs::write(data.join("postgres.log"), vec![b'x'; 9 << 20]).expect("the folder is ours");
    start(&data)
        .await
        .expect("it starts")
        .stop()
        .await
        .expect("it stops");
    let bytes = |name| fs::metadata(data.join(name)).expect("it is there").len();
    assert!(bytes("postgres.log") < 1 << 20);
    assert_eq!(bytes("postgres.log.1"), 9 << 20);
}

#[tokio::test]
async fn a_cluster_of_another_version_is_left_alone() {
    let folder = Folder::new();
    let data = folder.join("data");
    start(&data)
        .await
        .expect("it starts")
        .stop()
        .await
        .expect("it stops");
    let version = data.join("postgres/PG_VERSION");
    let installed = fs::read_to_string(&version).expect("it was made");
    fs::write(&version, "11\n").expect("the folder is ours");
    let error = start(&data).await.expect_err("nobody installs 11");
    assert_one_line(&error, &["PostgreSQL 11", installed.trim(), "dump"]);
    fs::write(&version, installed).expect("the folder is ours");
    start(&data)
        .await
        .expect("it is whole")
        .stop()
        .await
        .expect("it stops");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_is_named() {
    let folder = Folder::new();
    fs::write(folder.join("file"), "").expect("the folder is ours");
    let error = start(&folder.join("file/data"))
        .await
        .expect_err("a file holds no folder");
    assert_one_line(&error, &["cannot create", "file/data"]);
}

#[test]
fn missing_programs_are_named_with_their_packages() {
    let empty = Folder::new();
    let search = Search {
        path: Some(empty.as_os_str()),
        folders: Vec::new(),
        major: None,
    };
    let error = search.run().expect_err("the folder is empty");
    assert!(matches!(error, Error::NotFound { .. }));
    assert_one_line(
        &error,
        &[
            "apt install postgresql",
            "postgresql-server",
            "postgresql@17",
            "DATABASE_URL",
        ],
    );
}

#[test]
fn links_on_path_lead_to_the_folder_of_both_programs() {
    let real = Search::usual(path().as_deref(), None)
        .run()
        .expect("PostgreSQL is installed");
    let links = Folder::new();
    // Only one of them is linked: the other is found where the link leads.
    symlink(real.folder.join("postgres"), links.join("postgres")).expect("the folder is ours");
    let search = Search {
        path: Some(links.as_os_str()),
        folders: Vec::new(),
        major: None,
    };
    let found = search.run().expect("the link leads there");
    assert_eq!((found.folder, found.major), (real.folder, real.major));
    assert!(usual_folders().iter().all(|folder| folder.is_absolute()));
}

#[test]
fn an_old_version_is_refused_and_skipped_for_a_newer_one() {
    let old = Folder::new();
    for program in ["postgres", "initdb"] {
        fs::write(
            old.join(program),
            "#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n",
        )
        .expect("ours");
        set_mode(&old.join(program), 0o755);
    }
    let search = Search {
        path: Some(old.as_os_str()),
        folders: Vec::new(),
        major: None,
    };
    let error = search.run().expect_err("13 is too old");
    assert_one_line(&error, &["PostgreSQL 13", "14 or newer"]);
    let search = Search {
        path: Some(old.as_os_str()),
        folders: paths(),
        major: None,
    };
    let found = search.run().expect("a newer one is installed");
    assert!(found.major >= 14);
}

/// What the first column of the first row says, as text; nothing for a statement without rows.
pub(crate) async fn ask(url: &str, sql: &str) -> String {
    let mut connection = PgConnection::connect(url).await.expect("the URL works");
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_optional(&mut connection)
        .await;
    let row = row.unwrap_or_else(|error| panic!("{sql}: {error}"));
    row.map(|row| row.get(0)).unwrap_or_default()
}

/// Waits for what another process is about to do.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The servers of a cluster that live.
pub(crate) fn works_in(cluster: &Path) -> Vec<i32> {
    let folder = format!(" -D {} ", cluster.display());
    processes(|arguments| arguments.contains("postgres") && arguments.contains(&folder))
}

fn processes(wanted: impl Fn(&str) -> bool) -> Vec<i32> {
    let output = Command::new("ps")
        .args(["-A", "-ww", "-o", "pid=,args="])
        .output();
    let output = output.expect("every Unix has ps").stdout;
    let list = String::from_utf8_lossy(&output);
    let chosen = list.lines().filter(|line| wanted(line));
    chosen
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

/// A process that does what a host does with its database, to be killed.
async fn running_host(folder: &Folder) -> (PathBuf, std::process::Child) {
    let work = folder.join("keeper");
    let host = keeper::spawn(&work).expect("cargo built it");
    eventually("the host is ready", || keeper::socket(&work).exists()).await;
    (work.join("data"), host)
}

async fn start(data: &Path) -> Result<Postgres, Error> {
    Postgres::start(options(data)).await
}

fn options(data: &Path) -> Options {
    Options {
        data: data.into(),
        path: path(),
        folders: usual_folders(),
        durable: false,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests have no configuration to read it"
)]
fn path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

/// Everywhere PostgreSQL may be on this machine.
fn paths() -> Vec<PathBuf> {
    let on_path = path().unwrap_or_default();
    std::env::split_paths(&on_path)
        .chain(usual_folders())
        .collect()
}

fn assert_one_line(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    parts
        .iter()
        .for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}
