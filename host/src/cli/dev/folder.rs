//! The secrets a data folder keeps from start to start, each in a file for its user alone: the master key, and the API
//! key of the organization `dev`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::cli::terminal::Failure;
use crate::config;
use crate::identity::{Caller, Identity};
use crate::kit::{Random, Secret};

/// The organization of a `dev`.
pub(super) const ORG: &str = "dev";

/// The folder's master key, made on the first start.
pub(super) fn master_key(data: &Path, random: &Random) -> Result<[u8; 32], Failure> {
    let path = data.join("master.key");
    let key = match read(&path)? {
        Some(key) => key,
        None => {
            let key = hex::encode(random.bytes::<32>());
            write_private(&path, key.as_bytes())?;
            Secret::new(key)
        }
    };
    config::master_key(&key).map_err(|error| {
        let detail = format!(
            "{} is damaged: {} Put the right one back, or start with a new --data folder.",
            path.display(),
            error.detail
        );
        Failure::new("invalid_configuration", detail)
    })
}

/// The API key of the organization `dev`: the folder's, if it still opens the door, else a new one.
pub(super) async fn api_key(data: &Path, identity: &Identity) -> Result<(Secret, Caller), Failure> {
    let path = data.join("dev-key");
    if let Some(key) = read(&path)?
        && let Ok(caller) = identity.authenticate(key.expose()).await
        && *caller.slug == *ORG
    {
        return Ok((key, caller));
    }
    let (_, key) = match identity.find_organization(ORG).await? {
        Some(org) => identity.create_operator_key(org, "dev").await?,
        None => {
            let (_, key, secret) = identity.create_organization(ORG).await?;
            (key, secret)
        }
    };
    write_private(&path, key.expose().as_bytes())?;
    let caller = identity.authenticate(key.expose()).await?;
    Ok((key, caller))
}

/// Writes a whole file that only its user can read: there is never half of it.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let part = path.with_extension("part");
    let write = || {
        // Made anew: the mode of a file that is there already would stay.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|error| Failure::new("io", format!("cannot write {}: {error}", path.display())))
}

fn read(path: &Path) -> Result<Option<Secret>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(
            "io",
            format!("cannot read {}: {error}", path.display()),
        )),
    }
}
