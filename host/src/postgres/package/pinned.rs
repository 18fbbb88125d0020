//! One package: where it is fetched from, and that its bytes are the pinned ones before anything is made of them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use sha2::{Digest as _, Sha512};

use super::{fetch, folder, pins};
use crate::postgres::error::Error;
use crate::postgres::place::Place;

/// The registry where none is configured.
pub const REGISTRY: &str = "https://registry.npmjs.org";

/// One package of a registry, by the digest of its tarball.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// With its scope.
    pub name: &'static str,
    pub version: &'static str,
    /// As the registry and lock files write it: `sha512-` and base64.
    pub integrity: &'static str,
    /// About how much is fetched.
    pub megabytes: u32,
}

impl Package {
    /// The one for this kind of machine, if there is one.
    pub fn of_this_machine() -> Option<Self> {
        pins::of(std::env::consts::OS, std::env::consts::ARCH)
    }

    /// PostgreSQL's own version: `17.10` of `17.10.0-beta.17`.
    pub fn postgres(&self) -> &'static str {
        let numbers = self.version.split('-').next().unwrap_or_default();
        numbers.strip_suffix(".0").unwrap_or(numbers)
    }

    /// PostgreSQL's major version.
    pub fn major(&self) -> u32 {
        let major = self.version.split('.').next().unwrap_or_default();
        major.parse().unwrap_or(0)
    }

    /// Fetches, checks and unpacks it for the database of a data folder, and says where. Progress is told in bytes, with
    /// their sum where the registry says it.
    pub async fn install(
        &self,
        data: &Path,
        registry: &str,
        progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<PathBuf, Error> {
        // Held until the end: two must not unpack into one folder.
        let place = Place::settle(data)?;
        let url = self.url(registry)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let archive = fetch::fetch(url, progress)
            .await
            .map_err(|why| Error::Download {
                version: self.postgres().to_owned(),
                host: host.clone(),
                why,
            })?;
        let refuse = |why| Error::Package {
            host: host.clone(),
            why,
        };
        self.check(&archive).map_err(refuse)?;
        let (package, base) = (*self, place.base().to_owned());
        let unpacked = tokio::task::spawn_blocking(move || folder::make(&archive, &base, &package));
        match unpacked.await {
            Ok(made) => made.map_err(refuse),
            Err(error) => Err(refuse(error.to_string())),
        }
    }

    fn url(&self, registry: &str) -> Result<Url, Error> {
        let file = self.name.rsplit('/').next().unwrap_or(self.name);
        let (name, version) = (self.name, self.version);
        let registry = registry.trim_end_matches('/');
        let url = Url::parse(&format!("{registry}/{name}/-/{file}-{version}.tgz")).ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
        // Not repeated: an address may hold a password.
        url.ok_or_else(|| Error::Download {
            version: self.postgres().to_owned(),
            host: "the configured address".to_owned(),
            why: "that is no address that begins with http:// or https://".to_owned(),
        })
    }

    fn check(&self, archive: &[u8]) -> Result<(), String> {
        let digest = BASE64_STANDARD.encode(Sha512::digest(archive));
        if self.integrity.strip_prefix("sha512-") == Some(digest.as_str()) {
            return Ok(());
        }
        Err(format!(
            "its digest is sha512-{digest}, not the pinned one of {} {}",
            self.name, self.version
        ))
    }
}
