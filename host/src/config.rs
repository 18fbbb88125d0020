//! The host's configuration: a file, then the environment. Every limit of every room is in here; unknown keys are
//! errors that name the file and the key. The only place that reads the environment.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::kit::{Code, Error, Result, Secret, egress, trace};
use crate::{
    agents, audit, billing, conversations, guardrails, knowledge, limits, models, runs, sandbox,
    webhooks,
};

pub const BAD_CONFIG: Code = Code::new(
    "invalid_configuration",
    400,
    "The configuration cannot be used",
);

/// Everything a host can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where HTTP is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/metrics` is served, apart from the API.
    pub metrics_listen: SocketAddr,
    /// Indexes, compiled components, and with `dev` the database.
    pub data: PathBuf,
    pub database_connections: u32,
    /// How long a stopping host lets runs and requests end.
    pub shutdown_grace_ms: u64,
    /// The largest JSON body, in bytes.
    pub body_bytes: usize,
    /// How long a client may be silent in the middle of a body.
    pub body_idle_ms: u64,
    /// How long a request that died with its host blocks its `Idempotency-Key`; one at work renews its claim.
    pub idempotency_claim_ms: u64,
    pub limits: limits::Config,
    pub billing: billing::Config,
    pub sandbox: sandbox::Config,
    pub agents: agents::Config,
    pub conversations: conversations::Config,
    pub runs: runs::Config,
    pub models: models::Config,
    pub knowledge: knowledge::Config,
    pub guardrails: guardrails::Config,
    pub audit: audit::Config,
    pub webhooks: webhooks::Config,
    pub egress: egress::Config,
    pub tracing: trace::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8320)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 8321)),
            data: PathBuf::from(".bulkhead"),
            database_connections: 16,
            shutdown_grace_ms: 20_000,
            body_bytes: 4 << 20,
            body_idle_ms: 30_000,
            idempotency_claim_ms: 30_000,
            limits: limits::Config::default(),
            billing: billing::Config::default(),
            sandbox: sandbox::Config::default(),
            agents: agents::Config::default(),
            conversations: conversations::Config::default(),
            runs: runs::Config::default(),
            models: models::Config::default(),
            knowledge: knowledge::Config::default(),
            guardrails: guardrails::Config::default(),
            audit: audit::Config::default(),
            webhooks: webhooks::Config::default(),
            egress: egress::Config::default(),
            tracing: trace::Config::default(),
        }
    }
}

/// What only the environment says: secrets, and the system around the host.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `DATABASE_URL`.
    pub database_url: Option<Secret>,
    /// `BULKHEAD_MASTER_KEY`: 64 hexadecimal digits that seal secrets at rest.
    pub master_key: Option<Secret>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// `BULKHEAD_POSTGRES_PATH`: the folders PostgreSQL's programs are looked for in, instead of `PATH` and the usual
    /// ones; empty for none.
    pub postgres_path: Option<OsString>,
    /// `BULKHEAD_NPM_REGISTRY`, else npm's own `npm_config_registry`.
    pub npm_registry: Option<String>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `NO_COLOR`: whoever sets it wants none.
    pub no_color: bool,
}

impl Config {
    /// `file`, where given, then `BULKHEAD__SECTION__KEY` from the environment.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(BAD_CONFIG.because(format!("There is no file {}.", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        figment
            .merge(Env::prefixed("BULKHEAD__").split("__"))
            .extract()
            .map_err(|error| BAD_CONFIG.because(format!("{error}.")).caused_by(error))
    }
}

impl Surroundings {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn read() -> Self {
        let secret = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
                .map(Secret::new)
        };
        Self {
            database_url: secret("DATABASE_URL"),
            master_key: secret("BULKHEAD_MASTER_KEY"),
            path: std::env::var_os("PATH"),
            postgres_path: std::env::var_os("BULKHEAD_POSTGRES_PATH"),
            npm_registry: ["BULKHEAD_NPM_REGISTRY", "npm_config_registry"]
                .iter()
                .filter_map(|name| std::env::var(name).ok())
                .find(|value| !value.is_empty()),
            home: std::env::var_os("HOME").map(PathBuf::from),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }
}

/// The master key's bytes.
pub fn master_key(text: &Secret) -> Result<[u8; 32]> {
    let bytes = hex::decode(text.expose().trim())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| {
        BAD_CONFIG.because(
            "The master key must be 64 hexadecimal digits, such as `openssl rand -hex 32` prints.",
        )
    })?;
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return Err(BAD_CONFIG.because(
            "The master key is all one byte: make a random one with `openssl rand -hex 32`.",
        ));
    }
    Ok(bytes)
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}
