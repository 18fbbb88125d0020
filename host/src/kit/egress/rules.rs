//! The rules of where the host may be sent by those who use it: what a URL must be, and which addresses a name may
//! lead to. Asked when an address is given, and again by every connection that is made.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};

use super::addresses::{Block, not_public};
use crate::kit::{Code, Error};

pub const ADDRESS_REFUSED: Code = Code::new(
    "address_refused",
    422,
    "The host does not connect to this address",
);

const URL_BYTES_MAX: usize = 2 << 10;
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);

/// Where the host may be sent besides the public internet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Blocks that are allowed though they are not public, such as `127.0.0.0/8` in development.
    pub allow: Vec<String>,
    /// Whether plain `http` is allowed.
    pub http: bool,
}

/// Why an address is refused, as a sentence without its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(String);

/// Finds the addresses of a name.
pub type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The rules, with the resolver whose answers they hold for.
#[derive(Clone)]
pub struct Rules {
    allow: Arc<[Block]>,
    http: bool,
    lookup: Lookup,
}

impl Rules {
    /// With the system's resolver.
    pub fn new(config: &Config) -> Result<Self, String> {
        Self::resolving_by(config, Arc::new(|name| Box::pin(system(name))))
    }

    pub fn resolving_by(config: &Config, lookup: Lookup) -> Result<Self, String> {
        let allow: Result<Vec<Block>, String> =
            config.allow.iter().map(|text| text.parse()).collect();
        Ok(Self {
            allow: allow?.into(),
            http: config.http,
            lookup,
        })
    }

    /// What the text alone tells: form, scheme, port, and the address where it names one.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > URL_BYTES_MAX {
            return refused("must have at most 2,048 bytes");
        }
        // What a parser would strip or turn round was not meant, or meant ill.
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return refused("must have no spaces, control characters or backslashes");
        }
        let Ok(url) = Url::parse(text) else {
            return refused("must be a URL such as https://example.com/hook");
        };
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            "http" => {
                return refused("must be https (`egress.http` allows plain http, for development)");
            }
            _ => return refused("must be an https URL"),
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return refused("must hold no user and no password");
        }
        if url.fragment().is_some() {
            return refused("must hold no fragment");
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if port < 1_024 && port != 443 && !(port == 80 && url.scheme() == "http") {
            return refused(format!(
                "must not use port {port}: 443 and those from 1024 are allowed"
            ));
        }
        let host = url.host_str().unwrap_or_default();
        match literal(host) {
            Some(address) => self.address(address)?,
            None => self.name(host)?,
        }
        Ok(url)
    }

    /// The same, and where its name leads now: every address of it must be allowed. A name that leads nowhere yet is
    /// no reason to refuse it; a connection finds out.
    pub async fn check_now(&self, text: &str) -> Result<Url, Refused> {
        let url = self.check(text)?;
        let host = url.host_str().unwrap_or_default();
        if literal(host).is_none()
            && let Ok(Ok(found)) =
                tokio::time::timeout(LOOKUP_WITHIN, (self.lookup)(host.to_owned())).await
        {
            found
                .into_iter()
                .try_for_each(|address| self.address(address))?;
        }
        Ok(url)
    }

    /// Whether a connection to this address may be made.
    pub fn address(&self, address: IpAddr) -> Result<(), Refused> {
        if self.allow.iter().any(|block| block.contains(address)) {
            return Ok(());
        }
        match not_public(address) {
            Some(what) => refused(format!(
                "leads to {what}, which is not of the public internet"
            )),
            None => Ok(()),
        }
    }

    /// Names that are never of the public internet, whatever a resolver says of them.
    fn name(&self, host: &str) -> Result<(), Refused> {
        let host = host.trim_end_matches('.');
        let last = host.rsplit('.').next().unwrap_or_default();
        let local = [
            "localhost",
            "local",
            "internal",
            "lan",
            "home",
            "corp",
            "intranet",
            "arpa",
        ];
        if host.is_empty() || local.contains(&last) || !host.contains('.') {
            // What is allowed by address may be named, too.
            return match self.allow.is_empty() {
                true => refused(format!(
                    "names `{host}`, which is not of the public internet"
                )),
                false => Ok(()),
            };
        }
        Ok(())
    }

    async fn resolve(
        &self,
        name: String,
    ) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        let found = tokio::time::timeout(LOOKUP_WITHIN, (self.lookup)(name)).await??;
        // One that is not allowed spoils the name: which of them is tried first is not ours to know.
        found
            .iter()
            .try_for_each(|address| self.address(*address))?;
        let found: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        Ok(Box::new(found.into_iter()))
    }
}

/// Each connection asks: what is connected to is what was checked.
impl Resolve for Rules {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.clone();
        let name = name.as_str().to_owned();
        Box::pin(async move { Self::resolve(&rules, name).await })
    }
}

async fn system(name: String) -> std::io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// The address a host is written as, in the one form that parsing leaves.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// Between the slashes and the path, as it was written.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    &rest[..end]
}

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

impl Refused {
    /// What a request that gave the address is answered.
    pub fn at(&self, pointer: &str) -> Error {
        ADDRESS_REFUSED
            .because(format!("The address {self}."))
            .field(pointer, self.0.clone())
    }

    /// Where it is among the causes of an error.
    pub fn among<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let own = error.downcast_ref::<Self>();
        own.or_else(|| error.source().and_then(Self::among))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("allow", &self.allow)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}
