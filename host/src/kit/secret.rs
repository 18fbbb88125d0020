//! Secrets: text that prints nothing, and the sealing of what is kept at rest (XChaCha20-Poly1305, the key's id
//! in the header so that keys can be rotated). The nonce comes from injected randomness.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{Error, Random, Result};

mod forms;

pub use self::forms::Forms;

/// Text that is never printed, serialised or logged.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself: only for what puts it on the wire.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::new)
    }
}

const VERSION: u8 = 1;
const ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets with the host's master key.
#[derive(Clone)]
pub struct Seal {
    cipher: XChaCha20Poly1305,
    id: [u8; ID_BYTES],
    random: Random,
}

impl Seal {
    /// From the 32-byte master key.
    pub fn new(master: &[u8; 32], random: Random) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&Sha256::digest(master)[..ID_BYTES]);
        Self {
            cipher: XChaCha20Poly1305::new(&Key::from(*master)),
            id,
            random,
        }
    }

    /// `version | key id | nonce | ciphertext`; `context` (such as the row's id) must be the same to open it.
    pub fn seal(&self, context: &[u8], secret: &Secret) -> Vec<u8> {
        let nonce = self.random.bytes::<NONCE_BYTES>();
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: context,
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("the cipher seals any text that fits in memory");
        [&[VERSION], &self.id[..], &nonce, &sealed].concat()
    }

    /// Opens what `seal` made. Another key, another context or an altered row is an error.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret> {
        let header = 1 + ID_BYTES + NONCE_BYTES;
        if sealed.len() < header || sealed[0] != VERSION {
            return Err(Error::internal(
                "a sealed secret has no header this host knows",
            ));
        }
        if sealed[1..=ID_BYTES] != self.id {
            return Err(Error::internal(
                "a secret was sealed with another master key",
            ));
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&sealed[1 + ID_BYTES..header]);
        let payload = Payload {
            msg: &sealed[header..],
            aad: context,
        };
        let opened = self
            .cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal("a sealed secret was altered"))?;
        String::from_utf8(opened)
            .map(Secret::new)
            .map_err(Error::internal)
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}
