//! Upload: inspect, compile, fit, describe, store. Nothing is written before everything held; the same bytes again
//! are the same version.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;
use utoipa::ToSchema;
use wasmtime::component::Component;

use super::manifest::GUARDRAIL;
use super::signed::Signed;
use super::versions::{NewVersion, Version};
use super::{Agents, Digest, Manifest, settings, store};
use crate::guardrails;
use crate::identity::Caller;
use crate::identity::organizations::is_name;
use crate::kit::error::CONFLICT;
use crate::kit::{Code, Error, Result};
use crate::ledger::audit::{Action, Target, record};
use crate::ledger::outbox::{Notice, Topic, announce};
use crate::limits::Effective;
use crate::sandbox::compile::{Failed, Full, Place, in_child, inspect_in_child};
use crate::sandbox::component::{glance, imports, is_agent, is_guardrail};
use crate::sandbox::schedule::Tenant;

pub const COMPONENT_REFUSED: Code = Code::new(
    "component_refused",
    422,
    "The bytes are not an agent this host can run",
);
pub const COMPONENT_TOO_LARGE: Code =
    Code::new("component_too_large", 422, "The component is too large");
pub const COMPILE_FAILED: Code = Code::new(
    "compile_failed",
    422,
    "The component does not compile within its limits",
);
pub const COMPILE_QUEUE_FULL: Code = Code::new(
    "compile_queue_full",
    429,
    "Too many components wait to be compiled",
);

/// When it is worth asking again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What an upload came to.
#[derive(Debug, ToSchema)]
pub enum Uploaded {
    New(Version),
    /// The agent has a version of the same bytes.
    Known(Version),
}

impl Agents {
    /// The largest upload taken of the caller's organization, in bytes.
    pub async fn component_bytes_max(&self, caller: &Caller) -> Result<usize> {
        let limits = self.limits.effective(caller.org, None).await?;
        Ok(usize::try_from(limits.each.component_bytes.value).unwrap_or(usize::MAX))
    }

    /// Makes `bytes` a version of the agent called `name`, which is made where there is none.
    /// `signature` is a publisher's, as text.
    pub async fn upload(
        &self,
        caller: &Caller,
        name: &str,
        (bytes, signature): (Bytes, Option<&str>),
    ) -> Result<Uploaded> {
        if !is_name(name) {
            return Err(Error::unprocessable(format!(
                "`{name}` cannot name an agent: use a-z, 0-9 and `-`, a letter first, at most 63."
            )));
        }
        let limits = self.limits.effective(caller.org, None).await?;
        let most = limits.each.component_bytes.value;
        if bytes.len() as u64 > most {
            return Err(too_large(most));
        }
        let digest: Digest = Sha256::digest(&bytes).into();
        let signed = self.signed(caller, &digest, signature).await?;
        if let Some(version) = store::find_by_digest(&self.db, caller.org, name, &digest).await? {
            let version = self.sign_known(caller, name, (version, signed)).await?;
            return Ok(Uploaded::Known(version));
        }
        let manifest_of = self
            .examined(caller, name, (digest, &bytes), &limits)
            .await?;
        self.insert(caller, name, &bytes, (manifest_of, signed))
            .await
    }

    /// What the component is, once it was inspected, compiled, linked and asked.
    async fn examined(
        &self,
        caller: &Caller,
        name: &str,
        (digest, bytes): (Digest, &Bytes),
        limits: &Effective,
    ) -> Result<NewVersion> {
        let tenant = caller.org.0.as_u128();
        glance(bytes).map_err(|refused| COMPONENT_REFUSED.because(refused.to_string()))?;
        let mut began = Instant::now();
        let component = match self.load_artifact(digest).await? {
            // Whatever is cached was inspected before it was compiled.
            Some(component) => component,
            None => {
                self.inspect(tenant, bytes).await?;
                let child = self.children.place(tenant).await.map_err(full)?;
                began = Instant::now();
                Box::pin(self.compile(child, digest, bytes)).await?
            }
        };
        let compile_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let misfit = |what: String| {
            COMPONENT_REFUSED.because(format!("The component does not fit the world: {what}."))
        };
        let settings = settings::of(bytes)?;
        let manifest = if is_guardrail(&component) {
            let fit = guardrails::component::fit(&self.sandbox, &component);
            fit.map_err(|error| misfit(format!("{error:#}")))?;
            Manifest::of_kind(GUARDRAIL, name)
        } else {
            if is_agent(&component) {
                (self.fits)(&component).map_err(misfit)?;
            }
            let manifest = self.describe(tenant, (name, &component), limits).await?;
            self.guardrails.declare(&manifest.guardrails)?;
            manifest
        };
        let manifest = Manifest {
            settings,
            ..manifest
        };
        Ok(NewVersion {
            digest,
            manifest,
            imports: imports(&component),
            compile_ms,
        })
    }

    /// A version that is there and nobody signed is signed by uploading it again.
    async fn sign_known(
        &self,
        caller: &Caller,
        name: &str,
        (version, signed): (Version, Option<Signed>),
    ) -> Result<Version> {
        let Some(signed) = signed.filter(|_| version.signed_by.is_none()) else {
            return Ok(version);
        };
        let agent = self.get(caller, name).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let (which, number) = ((caller.org, agent.id), version.number);
        // Whoever deletes it, or signs it as well, takes turns.
        store::lock_agent(&mut *tx, which).await?;
        let Some(version) = store::sign_version(&mut *tx, which, number, &signed).await? else {
            let gone =
                || CONFLICT.because("The version was deleted in this moment: upload it again.");
            let known = store::find_version(&mut *tx, which, number).await?;
            return known.ok_or_else(gone);
        };
        let target = Target::new("agent_version", format!("{name}/{}", version.number));
        let did = caller.did(Action::AgentVersionSigned, target).at(now);
        let detail = json!({ "digest": version.digest, "signed_by": version.signed_by });
        record(&mut tx, &[did.changed(["signed_by"]).detail(&detail)]).await?;
        tx.commit().await?;
        Ok(version)
    }

    async fn inspect(&self, tenant: Tenant, bytes: &[u8]) -> Result<()> {
        let _place = self.inspections.place(tenant).await.map_err(full)?;
        inspect_in_child(&self.program, &self.sandbox, bytes)
            .await
            .map_err(|failed| match failed {
                Failed::Host(_) | Failed::Lied => Error::internal(failed),
                Failed::Refused(why) => COMPONENT_REFUSED.because(why),
                _ => COMPONENT_REFUSED
                    .because("The component is nested too deep, or too large, to be checked."),
            })
    }

    /// Compiles where nobody did so while the place was waited for.
    pub(super) async fn compile(
        &self,
        _child: Place,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<Component> {
        if let Some(component) = self.load_artifact(digest).await? {
            return Ok(component);
        }
        let artifact = in_child(&self.program, &self.sandbox, bytes)
            .await
            .map_err(|failed| match failed {
                Failed::Host(_) | Failed::Lied => Error::internal(failed),
                Failed::Refused(why) => {
                    COMPILE_FAILED.because(format!("The component does not compile: {why}."))
                }
                limit => COMPILE_FAILED.because(limit.to_string()),
            })?;
        self.keep_artifact(digest, artifact).await
    }

    async fn insert(
        &self,
        caller: &Caller,
        name: &str,
        bytes: &[u8],
        (new, signed): (NewVersion, Option<Signed>),
    ) -> Result<Uploaded> {
        let now = self.clock.now();
        let mut connection = self.db.acquire().await?;
        let mut tx = connection.begin().await?;
        store::insert_component(&mut *tx, &new.digest, bytes, now).await?;
        let agent = store::upsert_agent(&mut tx, caller.org, (self.ids.next(), name), now).await?;
        // The agent's row is locked from here on: of two uploads of the same bytes the second finds the first's.
        if let Some(version) =
            store::find_by_digest(&mut *tx, caller.org, name, &new.digest).await?
        {
            return Ok(Uploaded::Known(version));
        }
        let new_digest = new.digest;
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let which = (caller.org, agent);
        let version = match store::restore_version(&mut tx, which, &new_digest).await? {
            Some(version) => version,
            None => store::insert_version(&mut tx, which, new, (size, now)).await?,
        };
        let version = match signed {
            // One that was deleted and is back stays whose it was.
            Some(signed) => store::sign_version(&mut *tx, which, version.number, &signed)
                .await?
                .unwrap_or(version),
            None => version,
        };
        let told = json!({
            "agent": name,
            "version": version.number,
            "digest": hex::encode(new_digest),
        });
        let topic = Topic::VersionCreated;
        let notice = Notice::new(self.ids.next(), caller.org, topic, now, &told);
        announce(&mut tx, [&notice]).await?;
        let target = Target::new("agent_version", format!("{name}/{}", version.number));
        let did = caller.did(Action::AgentVersionCreated, target).at(now);
        let detail =
            json!({ "digest": version.digest, "size_bytes": size, "signed_by": version.signed_by });
        record(&mut tx, &[did.detail(&detail)]).await?;
        tx.commit().await?;
        // One that was deleted is back.
        self.resolved.invalidate_all();
        connection.shrink_buffers();
        tracing::info!(org = %caller.slug, agent = name, version = version.number, "version deployed");
        Ok(Uploaded::New(version))
    }
}

pub(super) fn too_large(most: u64) -> Error {
    COMPONENT_TOO_LARGE.because(format!(
        "The component is larger than {most} bytes: strip it, or raise the organization's limit `component_bytes`."
    ))
}

pub(super) fn full(_: Full) -> Error {
    COMPILE_QUEUE_FULL
        .because("Too many uploads wait to be checked and compiled; try again.")
        .retry_after(RETRY_AFTER)
}
