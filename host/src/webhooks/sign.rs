//! What a delivery is signed with: Standard Webhooks, or the form of Stripe. Pure: id, time, body and secrets in,
//! headers out. While a secret is being rotated the former one signs too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::ToSchema;

use crate::kit::{Random, Secret};

const PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

/// How deliveries to an endpoint are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// `webhook-signature: v1,…` as the Standard Webhooks specification has it.
    #[default]
    Standard,
    /// `stripe-signature: t=…,v1=…`, for receivers that check it already.
    Stripe,
}

impl Signature {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Stripe => "stripe",
        }
    }

    pub fn named(name: &str) -> Self {
        match name {
            "stripe" => Self::Stripe,
            // The table's constraint knows no third.
            _ => Self::Standard,
        }
    }

    /// The header and its value: one signature for each secret, the newest first.
    pub fn header(
        self,
        id: &str,
        seconds: i64,
        body: &[u8],
        secrets: &[Secret],
    ) -> (&'static str, String) {
        match self {
            Self::Standard => {
                let signed = secrets.iter().map(|secret| {
                    let mac = mac(&key(secret), &[id, ".", &seconds.to_string(), "."], body);
                    format!("v1,{}", STANDARD.encode(mac))
                });
                ("webhook-signature", signed.collect::<Vec<_>>().join(" "))
            }
            Self::Stripe => {
                let signed = secrets.iter().map(|secret| {
                    let key = secret.expose().as_bytes();
                    let mac = mac(key, &[&seconds.to_string(), "."], body);
                    format!(",v1={}", hex::encode(mac))
                });
                (
                    "stripe-signature",
                    format!("t={seconds}{}", signed.collect::<String>()),
                )
            }
        }
    }
}

/// A secret as it is given to its owner.
pub fn new_secret(random: &Random) -> Secret {
    Secret::new(format!(
        "{PREFIX}{}",
        STANDARD.encode(random.bytes::<SECRET_BYTES>())
    ))
}

/// What of it is secret: what stands behind the prefix.
pub fn bare(secret: &Secret) -> Secret {
    let text = secret.expose();
    Secret::new(text.strip_prefix(PREFIX).unwrap_or(text))
}

/// The bytes behind the prefix.
fn key(secret: &Secret) -> Vec<u8> {
    let secret = bare(secret);
    let text = secret.expose();
    STANDARD
        .decode(text)
        .unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn mac(key: &[u8], head: &[&str], body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in head {
        mac.update(part.as_bytes());
    }
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}
