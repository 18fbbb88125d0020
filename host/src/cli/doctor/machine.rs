//! What a machine needs, looked at without changing it: compilers, database, data folder, port.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{AccessFlags, Uid, User, access};

use super::command::{Args, Check, database_url};
use crate::cli::build::{TARGET, has_target};
use crate::cli::dev::programs;
use crate::cli::dev::running::Running;
use crate::cli::terminal::Failure;
use crate::config::Surroundings;
use crate::kit::Secret;
use crate::kit::db::{self, Schema};
use crate::postgres::find::Search;
use crate::postgres::package;

pub(super) async fn look(args: &Args) -> Vec<Check> {
    let surroundings = Surroundings::read();
    let mut checks = vec![rust_target().await];
    let named = surroundings.database_url.is_some();
    if !named {
        checks.push(postgres(&args.data, &surroundings));
    }
    checks.push(data_folder(&args.data));
    match database_url(&args.data, surroundings) {
        Ok(Some(url)) => checks.push(database(&url).await),
        Ok(None) => {}
        Err(failure) => checks.push(Check::bad("database", failure.detail)),
    }
    checks.push(port(args));
    checks
}

async fn rust_target() -> Check {
    let name = "rust target";
    match has_target(Path::new(".")).await {
        Ok(true) => Check::ok(name, format!("{TARGET} is installed")),
        Ok(false) => Check::bad(
            name,
            format!(
                "run `rustup target add {TARGET}` to build agents (`bulkhead dev` does it by itself)"
            ),
        ),
        Err(Failure { detail, .. }) => Check::bad(name, detail),
    }
}

fn postgres(data: &Path, surroundings: &Surroundings) -> Check {
    let options = programs::options(data, surroundings);
    let mut folders = options.folders;
    // What `dev` fetched counts like what is installed.
    folders.extend(package::beside(data));
    let search = Search {
        path: options.path.as_deref(),
        folders,
        major: None,
    };
    match search.run() {
        Ok(found) => Check::ok(
            "postgresql",
            format!("version {} in {}", found.major, found.folder.display()),
        ),
        Err(error) => Check::bad("postgresql", error.to_string()),
    }
}

fn data_folder(data: &Path) -> Check {
    let name = "data folder";
    let (path, exists) = match data.metadata() {
        Ok(_) => (data.to_owned(), true),
        Err(_) => (
            data.parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .to_owned(),
            false,
        ),
    };
    let owner = path
        .metadata()
        .map(|meta| user(meta.uid()))
        .unwrap_or_default();
    if let Err(error) = access(&path, AccessFlags::W_OK | AccessFlags::X_OK) {
        let detail = format!(
            "{} is {owner}'s and cannot be written to ({error}): choose another with --data",
            path.display()
        );
        return Check::bad(name, detail);
    }
    if !exists {
        return Check::ok(name, format!("{} will be made", data.display()));
    }
    match Running::read(data) {
        Ok(Some(running)) => Check::ok(
            name,
            format!("{}, in use by process {}", data.display(), running.pid),
        ),
        _ => Check::ok(
            name,
            format!("{} is {owner}'s, free and writable", data.display()),
        ),
    }
}

async fn database(url: &Secret) -> Check {
    let name = "database";
    let db = match db::connect(url.expose(), 1).await {
        Ok(db) => db,
        Err(error) => return Check::bad(name, error.detail),
    };
    match db::schema(&db).await {
        Ok(Schema::Usable) => Check::ok(name, "reachable, its schema is at this version"),
        Ok(Schema::Foreign(version)) => Check::bad(
            name,
            format!("reachable, but its migration {version} was made by another build"),
        ),
        _ => Check::bad(
            name,
            "reachable, but it lacks migrations of this version: run `bulkhead migrate`",
        ),
    }
}

fn port(args: &Args) -> Check {
    let name = "port";
    match std::net::TcpListener::bind(args.listen) {
        Ok(_) => Check::ok(name, format!("{} is free", args.listen)),
        Err(_) if ours(args) => Check::ok(
            name,
            format!(
                "{} is taken by the `dev` on {}",
                args.listen,
                args.data.display()
            ),
        ),
        Err(error) => Check::bad(
            name,
            format!(
                "{}: {error}; take a free one with `--listen 127.0.0.1:0`",
                args.listen
            ),
        ),
    }
}

fn ours(args: &Args) -> bool {
    matches!(Running::read(&args.data), Ok(Some(running)) if running.url == format!("http://{}", args.listen))
}

fn user(id: u32) -> String {
    match User::from_uid(Uid::from_raw(id)) {
        Ok(Some(user)) => user.name,
        _ => format!("user {id}"),
    }
}
