//! The only way out: outbound HTTP clients are made here. No redirects, no proxies from the environment, bounded
//! connect time. Callers bound the body and the whole call.

use std::time::Duration;

use super::Result;
use super::error::Error;

/// Makes outbound HTTP clients.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
}

impl Egress {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that makes HTTP clients"
    )]
    pub fn new() -> Result<Self> {
        // The provider is chosen once for the process; a second host in the same process finds it chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("bulkhead/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client })
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}
