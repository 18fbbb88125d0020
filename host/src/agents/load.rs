//! Compiled components: from the cache on disk, else compiled again from the bytes PostgreSQL holds.

use wasmtime::component::Component;

use super::upload::{COMPONENT_REFUSED, full};
use super::{Agents, Digest, store};
use crate::kit::{Code, Error, Result};
use crate::sandbox::schedule::Tenant;

pub const COMPONENT_MISSING: Code = Code::new(
    "component_missing",
    409,
    "The version's component is missing",
);

/// Whose turn it is where a run needs a component that no cache holds: runs of one version wait together for it.
const HOST: Tenant = 0;

impl Agents {
    /// The component of a stored version, ready to be linked.
    pub async fn load(&self, digest: Digest) -> Result<Component> {
        if let Some(component) = self.load_artifact(digest).await? {
            return Ok(component);
        }
        let bytes = store::get_component(&self.db, &digest).await?;
        let child = self.children.place_after_all(HOST).await.map_err(full)?;
        // Rare, and large: it is no part of every future that may need it.
        Box::pin(self.compile(child, digest, &bytes)).await
    }

    pub(super) async fn load_artifact(&self, digest: Digest) -> Result<Option<Component>> {
        let (artifacts, engine) = (self.artifacts.clone(), self.sandbox.engine().clone());
        self.tasks
            .spawn_blocking(move || artifacts.load(&engine, &digest))
            .await
            .map_err(Error::internal)
    }

    pub(super) async fn keep_artifact(
        &self,
        digest: Digest,
        artifact: Vec<u8>,
    ) -> Result<Component> {
        let (artifacts, engine) = (self.artifacts.clone(), self.sandbox.engine().clone());
        self.tasks
            .spawn_blocking(move || artifacts.keep(&engine, &digest, &artifact))
            .await
            .map_err(Error::internal)?
            // The engine refuses what does not fit its slots: memories, tables, instances and their sizes.
            .map_err(|error| {
                let what = format!("{error:#}").replace(" in the pooling allocator", "");
                COMPONENT_REFUSED.because(format!("The component asks for too much: {what}."))
            })
    }
}
