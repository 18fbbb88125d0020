//! The ed25519 key that signs: made once, by the first host that needs it, and sealed in the database. Every host with
//! the same master key uses the same one; after a change of the master key another is made, and the old public keys stay.

use ed25519_dalek::{Signer as _, SigningKey};
use time::OffsetDateTime;

use super::store;
use crate::kit::secret::Seal;
use crate::kit::{Base, Error, OrgId, Result, Secret};
use crate::ledger::audit::Checkpoint;
use crate::ledger::audit::chain::Hash;
use crate::ledger::audit::checkpoint::{key_id, micros};

const CONTEXT: &[u8] = b"audit signing key";

/// Signs as this host.
pub(super) struct Signer {
    key: SigningKey,
    pub(super) id: String,
}

impl Signer {
    fn new(bytes: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(bytes);
        let id = key_id(&key.verifying_key().to_bytes());
        Self { key, id }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    pub(super) fn checkpoint(
        &self,
        org: OrgId,
        (seq, hash): (i64, Hash),
        now: OffsetDateTime,
    ) -> Checkpoint {
        let at = micros(now);
        let message = Checkpoint::message(org.0, (seq, &hash), at);
        Checkpoint {
            org: org.0,
            seq,
            hash,
            at,
            key_id: self.id.clone(),
            signature: self.sign(&message),
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.id)
    }
}

/// The oldest key that this host's master key opens, made where there is none.
pub(super) async fn signer(base: &Base, seal: &Seal) -> Result<Signer> {
    if let Some(signer) = find(base, seal).await? {
        return Ok(signer);
    }
    let bytes = base.ids.random().bytes::<32>();
    let signer = Signer::new(&bytes);
    let sealed = seal.seal(CONTEXT, &Secret::new(hex::encode(bytes)));
    let key = (&*signer.id, &signer.public()[..], &*sealed);
    store::insert_key(&base.db, key, base.clock.now()).await?;
    // Another host may have been first: both take the older.
    find(base, seal)
        .await?
        .ok_or_else(|| Error::internal("the key that signs the audit log was not kept"))
}

async fn find(base: &Base, seal: &Seal) -> Result<Option<Signer>> {
    for sealed in store::sealed_keys(&base.db).await? {
        let Ok(secret) = seal.open(CONTEXT, &sealed) else {
            continue;
        };
        let bytes = hex::decode(secret.expose()).map_err(Error::internal)?;
        let bytes: [u8; 32] = bytes
            .try_into()
            .map_err(|_| Error::internal("the key that signs the audit log is not 32 bytes"))?;
        return Ok(Some(Signer::new(&bytes)));
    }
    Ok(None)
}
