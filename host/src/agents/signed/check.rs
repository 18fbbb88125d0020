//! The check of an upload's signature, before anything is compiled, and of whether a version may do without one.

use ed25519_dalek::{Signature, VerifyingKey};
use sqlx::PgExecutor;

use super::{PublisherId, SIGNATURE_REFUSED, SIGNATURE_REQUIRED, store};
use crate::agents::{Agents, Digest};
use crate::identity::Caller;
use crate::kit::{Error, OrgId, Result};

/// The header an upload's signature comes in: 128 hexadecimal digits.
pub const HEADER: &str = "x-bulkhead-signature";

/// A signature, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::agents) struct Signed {
    pub(in crate::agents) by: PublisherId,
    pub(in crate::agents) signature: [u8; 64],
}

/// What a publisher signs: one line of text that names the component's digest.
pub fn message(digest: &Digest) -> String {
    format!("bulkhead component sha256:{}\n", hex::encode(digest))
}

impl Agents {
    /// Who signed the component; refuses a signature that nobody of the organization made, and none where one is required.
    pub(in crate::agents) async fn signed(
        &self,
        caller: &Caller,
        digest: &Digest,
        signature: Option<&str>,
    ) -> Result<Option<Signed>> {
        let Some(text) = signature else {
            if store::policy(&self.db, caller.org).await? {
                return Err(SIGNATURE_REQUIRED.because(format!(
                    "Sign the component with the key of one of the organization's publishers and send the signature in `{HEADER}` (`bulkhead deploy --sign KEY_FILE`)."
                )));
            }
            return Ok(None);
        };
        let mut signature = [0; 64];
        hex::decode_to_slice(text.trim(), &mut signature).map_err(|_| {
            refused("The signature is not 128 hexadecimal digits: send ed25519's 64 bytes so.")
        })?;
        let message = message(digest);
        for (by, public) in store::valid(&self.db, caller.org).await? {
            if is_signed(&public, message.as_bytes(), signature) {
                return Ok(Some(Signed { by, signature }));
            }
        }
        Err(refused(&format!(
            "None of the organization's publisher keys made this signature of `{}`: sign these bytes, or have an admin add your key (`bulkhead publishers add`).",
            message.trim_end()
        )))
    }
}

/// Refuses a version that nobody signed as one to be pointed at, where the organization takes signed ones only.
pub(in crate::agents) async fn unsigned_is_taken(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (agent, number): (&str, i32),
) -> Result<()> {
    match store::policy(db, org).await? {
        true => Err(SIGNATURE_REQUIRED.because(format!(
            "Nobody signed version {number} of `{agent}`: upload the same bytes with a signature (`bulkhead deploy {agent} FILE --no-stable --sign KEY_FILE`), and it is the same version, signed; then ask again."
        ))),
        false => Ok(()),
    }
}

fn refused(what: &str) -> Error {
    SIGNATURE_REFUSED.because(what)
}

fn is_signed(public: &[u8], message: &[u8], signature: [u8; 64]) -> bool {
    let signature = Signature::from_bytes(&signature);
    let public = <[u8; 32]>::try_from(public).ok();
    let key = public.and_then(|public| VerifyingKey::from_bytes(&public).ok());
    key.is_some_and(|key| key.verify_strict(message, &signature).is_ok())
}
