//! Giving limits: a set replaces the one before, whole or not at all. More than the host or the organization has to
//! give is refused, and the answer names each limit, the value and the most it may be.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bound, Each, Kind, Level, Limits, Source, store};
use crate::identity::Caller;
use crate::kit::{Code, Error, Result};
use crate::ledger::audit::{Action, Target, record};

pub const LIMIT_REFUSED: Code = Code::new("limit_refused", 422, "A limit cannot be set like this");

/// A limit as it binds, and the most it may be set to here.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Shown {
    pub value: u64,
    pub source: Source,
    pub maximum: u64,
    /// What was set here, where anything was; another limit may bind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<u64>,
}

impl Limits {
    pub async fn of_org(&self, caller: &Caller) -> Result<Each<Shown>> {
        let (set, none) = self.given(&self.inner.db, (caller.org, None)).await?;
        Ok(show(&self.bind(&set, &none), &set, |kind| {
            *self.most().get(kind)
        }))
    }

    pub async fn put_of_org(
        &self,
        caller: &Caller,
        asked: &Each<Option<u64>>,
    ) -> Result<Each<Shown>> {
        check(asked, |kind| match kind.level {
            Level::Host => Err(OF_HOST),
            Level::Org | Level::Version => Ok((*self.most().get(kind), "this host's maximum")),
        })?;
        let by = (caller.key, self.inner.clock.now());
        let mut tx = self.inner.db.begin().await?;
        store::put_of_org(&mut tx, caller.org, &stored(asked), by).await?;
        let target = Target::new("organization", &caller.slug);
        let did = caller.did(Action::LimitsSet, target).changed(named(asked));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        self.inner.effective.invalidate_all();
        tracing::info!(org = %caller.slug, "limits of the organization were set");
        self.of_org(caller).await
    }

    pub async fn of_version(
        &self,
        caller: &Caller,
        (agent, number): (&str, i32),
    ) -> Result<Each<Shown>> {
        let agent = self.agent(caller, (agent, number)).await?;
        self.show_version(caller, (agent, number)).await
    }

    pub async fn put_of_version(
        &self,
        caller: &Caller,
        (name, number): (&str, i32),
        asked: &Each<Option<u64>>,
    ) -> Result<Each<Shown>> {
        let agent = self.agent(caller, (name, number)).await?;
        let given = self.given(&self.inner.db, (caller.org, None)).await?;
        let org = self.bind(&given.0, &given.1);
        check(asked, |kind| match kind.level {
            Level::Host => Err(OF_HOST),
            Level::Org => Err(OF_ORG),
            Level::Version => Ok(match org.get(kind) {
                Bound {
                    value,
                    source: Source::Org,
                } => (*value, "the organization's"),
                Bound { value, .. } => (*value, "the host's"),
            }),
        })?;
        let (of, by) = (
            (caller.org, agent, number),
            (caller.key, self.inner.clock.now()),
        );
        let mut tx = self.inner.db.begin().await?;
        store::put_of_version(&mut tx, of, &stored(asked), by).await?;
        let target = Target::new("agent_version", format!("{name}/{number}"));
        let did = caller.did(Action::LimitsSet, target).changed(named(asked));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        self.inner.effective.invalidate_all();
        tracing::info!(org = %caller.slug, agent = name, version = number, "limits of the version were set");
        self.show_version(caller, (agent, number)).await
    }

    async fn agent(&self, caller: &Caller, version: (&str, i32)) -> Result<Uuid> {
        store::find_agent(&self.inner.db, caller.org, version)
            .await?
            .ok_or_else(|| Error::not_found("agent or version"))
    }

    async fn show_version(&self, caller: &Caller, version: (Uuid, i32)) -> Result<Each<Shown>> {
        let of = (caller.org, Some(version));
        let (org, set) = self.given(&self.inner.db, of).await?;
        let most = self.bind(&org, &Each::default());
        Ok(show(&self.bind(&org, &set), &set, |kind| {
            most.get(kind).value
        }))
    }
}

const OF_HOST: &str = "is the operator's to set, for the whole host";
const OF_ORG: &str = "is an organization's: set it there";

fn show(each: &Each<Bound>, set: &Each<Option<u64>>, most: impl Fn(Kind) -> u64) -> Each<Shown> {
    Each::from_fn(|kind| Shown {
        value: each.get(kind).value,
        source: each.get(kind).source,
        maximum: most(kind),
        set: *set.get(kind),
    })
}

/// Every fault as one problem; `most` says how much a limit may be here and whose maximum that is, or why it is none.
fn check(
    asked: &Each<Option<u64>>,
    most: impl Fn(Kind) -> Result<(u64, &'static str), &'static str>,
) -> Result<()> {
    let mut faults = Vec::new();
    for kind in super::kinds() {
        let Some(value) = *asked.get(kind) else {
            continue;
        };
        match most(kind) {
            Err(why) => faults.push((kind.name, why.to_owned())),
            Ok(_) if value == 0 => faults.push((kind.name, "must be at least 1".to_owned())),
            Ok((most, whose)) if value > most => {
                faults.push((kind.name, format!("{value} is above {whose}: {most}")));
            }
            Ok(_) => {}
        }
    }
    let Some((name, what)) = faults.first() else {
        return Ok(());
    };
    let problem = LIMIT_REFUSED.because(format!("Nothing was changed: `{name}` {what}."));
    Err(faults.iter().fold(problem, |problem, (name, what)| {
        problem.field(format!("/{name}"), what)
    }))
}

/// The names of what is set.
fn named(asked: &Each<Option<u64>>) -> impl Iterator<Item = &'static str> {
    let set = super::kinds().filter(|kind| asked.get(*kind).is_some());
    set.map(|kind| kind.name)
}

/// What is set, and nothing else.
fn stored(asked: &Each<Option<u64>>) -> serde_json::Value {
    let set = super::kinds().filter_map(|kind| {
        asked
            .get(kind)
            .map(|value| (kind.name.to_owned(), value.into()))
    });
    serde_json::Value::Object(set.collect())
}
