//! Which host, organization and key a client command uses: flags, then the environment, then the `dev` that runs on
//! the data folder. The key of a `dev` is sent to that `dev` only.

use std::convert::Infallible;
use std::path::PathBuf;

use reqwest::Url;

use super::Client;
use crate::cli::dev::running::Running;
use crate::cli::terminal::Failure;
use crate::kit::Secret;
use crate::kit::egress::Egress;

/// What every client command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Host")]
pub(in crate::cli) struct Target {
    /// The host; where absent, the `dev` that runs on the data folder.
    #[arg(long, env = "BULKHEAD_URL", hide_env_values = true, value_name = "URL")]
    url: Option<String>,
    /// The organization.
    #[arg(long, env = "BULKHEAD_ORG", hide_env_values = true, value_name = "ORG")]
    pub(in crate::cli) org: Option<String>,
    /// The API key; better set in the environment, where it is not listed with the process.
    #[arg(long, env = "BULKHEAD_API_KEY", hide_env_values = true, value_name = "KEY", value_parser = secret)]
    key: Option<Secret>,
    /// The data folder of a running `dev`.
    #[arg(
        long,
        env = "BULKHEAD__DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".bulkhead"
    )]
    pub(in crate::cli) data: PathBuf,
}

impl Target {
    pub(in crate::cli) fn client(&self) -> Result<Client, Failure> {
        let named = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let running = Running::read(&self.data)?;
        let missing = |what: &str| {
            let data = self.data.display();
            Failure::usage(format!(
                "{what} is not known and no `bulkhead dev` runs on {data}: start one, or set BULKHEAD_URL, \
                 BULKHEAD_ORG and BULKHEAD_API_KEY"
            ))
        };
        let url = match (named(&self.url), &running) {
            (Some(url), _) => url,
            (None, Some(running)) => running.url.clone(),
            (None, None) => return Err(missing("the host")),
        };
        let running = running
            .filter(|running| running.url.trim_end_matches('/') == url.trim_end_matches('/'));
        let org = named(&self.org).or_else(|| running.as_ref().map(|running| running.org.clone()));
        let org = org.ok_or_else(|| missing("the organization"))?;
        let key = self.key.clone().filter(|key| !key.expose().is_empty());
        let key = key.or_else(|| running.map(|running| Secret::new(running.api_key)));
        let key = key.ok_or_else(|| missing("the API key"))?;
        Client::at(&url, &org, key)
    }
}

impl Client {
    /// A host that is known.
    pub(in crate::cli) fn at(url: &str, org: &str, key: Secret) -> Result<Self, Failure> {
        Ok(Self {
            http: Egress::new()?.client().clone(),
            base: base(url, org)?,
            key,
        })
    }
}

fn base(url: &str, org: &str) -> Result<Url, Failure> {
    let bad = || {
        Failure::usage(format!(
            "--url (BULKHEAD_URL) {url:?} is no web address; such as http://127.0.0.1:8320"
        ))
    };
    let mut base = Url::parse(url)
        .ok()
        .filter(|base| ["http", "https"].contains(&base.scheme()))
        .ok_or_else(bad)?;
    if ["", ".", ".."].contains(&org) {
        return Err(Failure::usage(format!(
            "--org (BULKHEAD_ORG) {org:?} is no name"
        )));
    }
    match base.path_segments_mut() {
        Ok(mut segments) => _ = segments.pop_if_empty().extend(["v1", "orgs", org]),
        Err(()) => return Err(bad()),
    }
    Ok(base)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what clap calls a parser may fail"
)]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}
