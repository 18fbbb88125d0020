//! Where a manifest or an archive is, and how it is fetched from there: bounded, and never from further than who names
//! it may lead. A file's archives stand in its own folder; what came by https is followed by https only.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use reqwest::header::LOCATION;
use reqwest::{Response, Url};

use crate::cli::terminal::Failure;
use crate::kit::egress::Egress;

const FETCHED_WITHIN: Duration = Duration::from_secs(60);
/// Release pages lead to where their files are kept.
const REDIRECTS_MAX: usize = 5;

/// A file, or an address.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A folder, and what is below it.
    File(PathBuf, PathBuf),
    Web(Box<Url>),
}

impl Place {
    /// What a person names.
    pub(super) fn of(named: &str) -> Result<Self, Failure> {
        if named.contains("://") {
            return Self::web(named, None);
        }
        let unreadable =
            |error| Failure::new("pack_unreachable", format!("cannot read {named}: {error}"));
        let path = Path::new(named).canonicalize().map_err(unreadable)?;
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => Ok(Self::File(folder.to_owned(), name.into())),
            _ => Err(Failure::new(
                "pack_unreachable",
                format!("{named} is no file: name a pack's manifest"),
            )),
        }
    }

    /// What a manifest that is here names.
    pub(super) fn beside(&self, named: &str) -> Result<Self, Failure> {
        match self {
            Self::Web(url) => Self::web(named, Some(url)),
            Self::File(..) if named.contains("://") => Self::web(named, None),
            Self::File(folder, _) => Ok(Self::File(folder.clone(), named.into())),
        }
    }

    fn web(named: &str, from: Option<&Url>) -> Result<Self, Failure> {
        let refused = |why: &str| {
            let detail = format!("{named:?} cannot be fetched: {why}");
            Failure::new("pack_unreachable", detail)
        };
        let url = match from {
            Some(base) => base.join(named),
            None => Url::parse(named),
        };
        let url = url.map_err(|error| refused(&error.to_string()))?;
        let host = url.host_str().unwrap_or_default();
        let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        match url.scheme() {
            "https" => Ok(Self::Web(Box::new(url))),
            "http" if is_here && from.is_none_or(|base| base.scheme() == "http") => {
                Ok(Self::Web(Box::new(url)))
            }
            _ => Err(refused(
                "use https, or http on this machine, and what came by https leads to https",
            )),
        }
    }

    /// All of it, where that is at most so many bytes.
    pub(super) async fn read(&self, most: u64) -> Result<Vec<u8>, Failure> {
        let bytes = match self {
            Self::File(folder, name) => self.of_file(folder, name, most)?,
            Self::Web(url) => self.of_web(url, most).await?,
        };
        if bytes.len() as u64 > most {
            let detail = format!("{self} is larger than {most} bytes");
            return Err(Failure::new("pack_refused", detail));
        }
        Ok(bytes)
    }

    fn of_file(&self, folder: &Path, name: &Path, most: u64) -> Result<Vec<u8>, Failure> {
        let read = || {
            let folder = Dir::open_ambient_dir(folder, ambient_authority())?;
            if !folder.metadata(name)?.is_file() {
                return Err(std::io::Error::other("it is no file"));
            }
            let mut bytes = Vec::new();
            folder.open(name)?.take(most + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error| self.unreachable(&error.to_string()))
    }

    async fn of_web(&self, url: &Url, most: u64) -> Result<Vec<u8>, Failure> {
        let fetch = async {
            let mut response = self.reach(url).await?;
            let mut bytes = Vec::new();
            loop {
                let piece = response.chunk().await;
                let piece = piece.map_err(|error| self.unreachable(&told(error)))?;
                match piece {
                    Some(piece) => bytes.extend_from_slice(&piece),
                    None => return Ok(bytes),
                }
                if bytes.len() as u64 > most {
                    return Ok(bytes);
                }
            }
        };
        tokio::time::timeout(FETCHED_WITHIN, fetch)
            .await
            .unwrap_or_else(|_| Err(self.unreachable("it takes longer than a minute")))
    }

    /// The answer that has it, over as many others as lead there.
    async fn reach(&self, url: &Url) -> Result<Response, Failure> {
        let http = Egress::new()?;
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = http.client().get(url.clone()).send().await;
            let response = response.map_err(|error| self.unreachable(&told(error)))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let to = response
                .headers()
                .get(LOCATION)
                .filter(|_| status.is_redirection());
            let Some(to) = to.and_then(|to| to.to_str().ok()) else {
                return Err(self.unreachable(&format!("it answers {status}")));
            };
            if let Self::Web(next) = Self::web(to, Some(&url))? {
                url = *next;
            }
        }
        Err(self.unreachable("it leads on and on"))
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::new("pack_unreachable", format!("cannot read {self}: {why}"))
    }
}

impl fmt::Display for Place {
    /// Without what may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(folder, name) => write!(f, "{}", folder.join(name).display()),
            Self::Web(url) => {
                let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
                let port = url.port().map(|port| format!(":{port}"));
                write!(
                    f,
                    "{scheme}://{host}{}{}",
                    port.unwrap_or_default(),
                    url.path()
                )
            }
        }
    }
}

/// The innermost reason, which names no address.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
