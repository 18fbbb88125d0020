//! The audit log as it is read: lists, exports, signed checkpoints, the check of an export, and the layer that writes
//! down refusals. What was done is written by each room itself, through `ledger::audit`.
//! Invariant: nothing here changes a row; a checkpoint is signed only over rows that still fit their chain.

mod checkpoints;
mod config;
mod csv;
mod export;
pub mod http;
mod keys;
pub mod line;
mod list;
pub mod refusals;
mod store;
pub mod verify;

use std::sync::Arc;

use crate::kit::secret::Seal;
use crate::kit::{Base, Result};

pub use config::Config;
pub use refusals::{Refusals, privileged};

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Audit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    base: Base,
    signer: keys::Signer,
    config: Config,
}

impl Audit {
    /// Makes the key that signs, where there is none, and opens the file of checkpoints. The database must be migrated.
    pub async fn open(base: &Base, seal: &Seal, config: Config) -> Result<Self> {
        checkpoints::open(&config.checkpoints)?;
        let inner = Inner {
            base: base.clone(),
            signer: keys::signer(base, seal).await?,
            config,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}
