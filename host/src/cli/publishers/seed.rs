//! A publisher's secret key on disk: 64 hexadecimal digits in a file that only its owner reads. It never leaves the
//! machine; what is sent is the signature.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::agents::signed::message;
use crate::cli::terminal::Failure;
use crate::kit::Random;

/// Makes a key and keeps it in a new file; the public key.
pub(super) fn make(file: &Path) -> Result<String, Failure> {
    let key = SigningKey::from_bytes(&Random::system().bytes());
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| {
        writeln!(opened, "{}", hex::encode(key.to_bytes()))?;
        opened.sync_all()
    });
    written.map_err(|error| {
        let detail = format!(
            "cannot write {}: {error}; name a file that is not there yet",
            file.display()
        );
        Failure::new("io", detail)
    })?;
    Ok(public(&key))
}

/// What the key in the file says of a component, for the upload's header.
pub(in crate::cli) fn signature(file: &Path, component: &[u8]) -> Result<String, Failure> {
    let message = message(&Sha256::digest(component).into());
    let signature = read(file)?.sign(message.as_bytes());
    Ok(hex::encode(signature.to_bytes()))
}

/// The public key of the file's.
pub(super) fn public_of(file: &Path) -> Result<String, Failure> {
    Ok(public(&read(file)?))
}

fn public(key: &SigningKey) -> String {
    hex::encode(key.verifying_key().to_bytes())
}

fn read(file: &Path) -> Result<SigningKey, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let detail = format!(
            "cannot read {}: {error}; make a key with `bulkhead publishers keygen FILE`",
            file.display()
        );
        Failure::new("io", detail)
    })?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| {
        Failure::usage(format!(
            "{} holds no signing key of 64 hexadecimal digits: make one with `bulkhead publishers keygen FILE`",
            file.display()
        ))
    })?;
    Ok(SigningKey::from_bytes(&bytes))
}
