//! What binds: the version's value, else the organization's, else the host's, and never more than the organization
//! or the host gives. Runs ask once, when they start; the answer is kept in the database as a set by its digest, so
//! that a run goes on under it anywhere. Cached here: what another node was told is seen within a second.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Each, Inner, Level, Limits, kinds, store};
use crate::kit::{Base, Error, OrgId, Result};
use crate::sandbox;

/// SHA-256 of a set's text.
pub type Digest = [u8; 32];

/// Where a limit's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Host,
    Org,
    Version,
    /// The request that started the run.
    Run,
}

/// A limit as it binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bound {
    pub value: u64,
    pub source: Source,
}

/// All limits as they bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    pub digest: Digest,
    pub each: Each<Bound>,
    /// The part of them that the sandbox enforces.
    pub sandbox: sandbox::Limits,
}

/// An organization, or one version of an agent of it.
pub(super) type Of = (OrgId, Option<(Uuid, i32)>);

const CACHED_FOR: Duration = Duration::from_millis(500);
const CACHED_MAX: u64 = 10_000;

impl Effective {
    pub(super) fn new(each: Each<Bound>) -> Result<(Self, String)> {
        let text = serde_json::to_string(&each)?;
        let digest = sha2::Sha256::digest(&text).into();
        let values = Each::from_fn(|kind| each.get(kind).value);
        let sandbox = values.sandbox();
        let effective = Self {
            digest,
            each,
            sandbox,
        };
        Ok((effective, text))
    }

    /// The limits of which this set gives more, by name.
    pub fn larger_than(&self, other: &Self) -> Vec<&'static str> {
        let larger =
            kinds().filter(|kind| self.each.get(*kind).value > other.each.get(*kind).value);
        larger.map(|kind| kind.name).collect()
    }

    /// A set as it was kept. What was no limit then is what this host gives.
    fn kept(digest: Digest, text: &str, host: &Self) -> Result<Self> {
        let mut kept: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        let each = Each::from_fn(|kind| {
            let bound = kept.remove(kind.name).map(serde_json::from_value);
            bound.unwrap_or_else(|| Ok(*host.each.get(kind)))
        });
        if let Some(Err(error)) = kinds()
            .map(|kind| each.get(kind))
            .find(|kept| kept.is_err())
        {
            return Err(Error::internal(format!("a set of limits: {error}")));
        }
        let each = Each::from_fn(|kind| *each.get(kind).as_ref().unwrap_or(host.each.get(kind)));
        let (set, _) = Self::new(each)?;
        Ok(Self { digest, ..set })
    }
}

impl Limits {
    /// `host` is what this host gives where nobody said otherwise; `maximum`, checked, is more for some of them.
    pub fn new(base: &Base, host: &Each<u64>, maximum: &Each<Option<u64>>) -> Result<Self> {
        let most = Each::from_fn(|kind| maximum.get(kind).unwrap_or(*host.get(kind)));
        let (host, _) = Effective::new(Each::from_fn(|kind| Bound {
            value: *host.get(kind),
            source: Source::Host,
        }))?;
        let inner = Inner {
            db: base.db.clone(),
            clock: base.clock.clone(),
            host: Arc::new(host),
            most,
            effective: Cache::builder()
                .max_capacity(CACHED_MAX)
                .time_to_live(CACHED_FOR)
                .build(),
            interned: Cache::new(CACHED_MAX),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What binds an organization, or one version of an agent (its id and number).
    pub async fn effective(
        &self,
        org: OrgId,
        version: Option<(Uuid, i32)>,
    ) -> Result<Arc<Effective>> {
        let of = (org, version);
        if let Some(known) = self.inner.effective.get(&of).await {
            return Ok(known);
        }
        // Of many runs that start now one asks.
        self.inner
            .effective
            .try_get_with(of, self.find(of))
            .await
            .map_err(|error: Arc<Error>| error.code.because(error.detail.clone()).caused_by(error))
    }

    /// What this host gives where nobody said otherwise.
    pub fn hosts(&self) -> Arc<Effective> {
        Arc::clone(&self.inner.host)
    }

    /// The set a run was started with; what this host gives where it has none.
    pub async fn of(&self, digest: Option<Digest>) -> Result<Arc<Effective>> {
        let Some(digest) = digest else {
            return Ok(self.hosts());
        };
        if let Some(known) = self.inner.interned.get(&digest).await {
            return Ok(known);
        }
        let text = store::get_set(&self.inner.db, &digest).await?;
        let set = Arc::new(Effective::kept(digest, &text, &self.inner.host)?);
        self.inner.interned.insert(digest, Arc::clone(&set)).await;
        Ok(set)
    }

    async fn find(&self, of: Of) -> Result<Arc<Effective>> {
        let (org, version) = self.given(&self.inner.db, of).await?;
        let (effective, text) = Effective::new(self.bind(&org, &version))?;
        if let Some(known) = self.inner.interned.get(&effective.digest).await {
            return Ok(known);
        }
        // Before any run names it.
        let now = self.inner.clock.now();
        store::intern(&self.inner.db, &effective.digest, (&text, now)).await?;
        let effective = Arc::new(effective);
        let kept = Arc::clone(&effective);
        self.inner.interned.insert(effective.digest, kept).await;
        Ok(effective)
    }

    /// What an organization and a version were given.
    pub(super) async fn given(
        &self,
        db: &PgPool,
        (org, version): Of,
    ) -> Result<(Each<Option<u64>>, Each<Option<u64>>)> {
        let (agent, number) = version.unzip();
        let (of_org, of_version) = store::find(db, org, (agent, number)).await?;
        Ok((read(of_org), read(of_version)))
    }

    pub(super) fn bind(&self, org: &Each<Option<u64>>, version: &Each<Option<u64>>) -> Each<Bound> {
        Each::from_fn(|kind| {
            let host = *self.inner.host.each.get(kind);
            let most = *self.inner.most.get(kind);
            let org = match *org.get(kind) {
                _ if kind.level == Level::Host => host,
                None => host,
                Some(value) if value <= most => Bound {
                    value,
                    source: Source::Org,
                },
                // The operator lowered it since.
                Some(_) => Bound {
                    value: most,
                    source: Source::Host,
                },
            };
            match *version.get(kind) {
                Some(value) if kind.level == Level::Version && value <= org.value => Bound {
                    value,
                    source: Source::Version,
                },
                _ => org,
            }
        })
    }
}

/// A stored object; what this host does not know in it, a newer one does.
fn read(stored: Option<serde_json::Value>) -> Each<Option<u64>> {
    let stored = stored.unwrap_or_default();
    Each::from_fn(|kind| stored.get(kind.name).and_then(serde_json::Value::as_u64))
}
