//! The only way out: outbound HTTP clients are made here. No redirects, no proxies from the environment, bounded
//! connect time. Callers bound the body and the whole call. `Egress` goes where an operator's configuration leads,
//! private addresses included (model connections); `Guarded` goes where users lead, under `Rules`.

mod addresses;
mod reply;
mod rules;

use std::time::Duration;

use reqwest::{RequestBuilder, Url};

use super::Result;
use super::error::Error;

pub use addresses::Block;
pub use reply::retry_after;
pub use rules::{ADDRESS_REFUSED, Config, Lookup, Refused, Rules};

/// Makes outbound HTTP clients.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
}

impl Egress {
    pub fn new() -> Result<Self> {
        let client = plain().build().map_err(Error::internal)?;
        Ok(Self { client })
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

/// A client that connects only where its rules allow.
#[derive(Clone, Debug)]
pub struct Guarded {
    client: reqwest::Client,
    pub rules: Rules,
}

impl Guarded {
    pub fn new(rules: Rules) -> Result<Self> {
        let client = plain()
            .dns_resolver(rules.clone())
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, rules })
    }

    /// A request to a URL that was checked. An address is checked here again, a name by the connection.
    pub fn post(&self, url: Url) -> std::result::Result<RequestBuilder, Refused> {
        self.rules.check(url.as_str())?;
        Ok(self.client.post(url))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that makes HTTP clients"
)]
fn plain() -> reqwest::ClientBuilder {
    // The provider is chosen once for the process; a second host in the same process finds it chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("bulkhead/", env!("CARGO_PKG_VERSION")))
}
