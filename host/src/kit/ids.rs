//! Ids and randomness, injected. An id is a UUID v7 behind a printed prefix (`run_…`), so that a stray id says
//! what it is of; the database holds the bare UUID.

use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use super::Clock;

/// Where random bytes come from: the system's generator in a host, a seeded one in tests.
#[derive(Clone, Debug)]
pub struct Random(Option<Arc<Mutex<ChaCha20Rng>>>);

impl Random {
    pub fn system() -> Self {
        Self(None)
    }

    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))))
    }

    /// Random bytes fit for keys (from a system source).
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            None => getrandom::fill(&mut bytes).expect("the system has a source of randomness"),
            Some(rng) => rng
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .fill_bytes(&mut bytes),
        }
        bytes
    }
}

/// Makes ids from the injected clock and randomness.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    random: Random,
}

impl Ids {
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    /// A new id; ordered by time, unguessable in its last 74 bits.
    pub fn next<T: From<Uuid>>(&self) -> T {
        let millis = super::clock::epoch_ms(self.clock.now());
        uuid::Builder::from_unix_timestamp_millis(millis, &self.random.bytes())
            .into_uuid()
            .into()
    }

    pub fn random(&self) -> &Random {
        &self.random
    }
}

/// Declares an id type: `id!(RunId, "run_", "…what it names")`.
#[macro_export]
macro_rules! id {
    ($name:ident, $prefix:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::kit::ids::BadId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::kit::ids::parse(text, $prefix).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The text is not an id of the wanted kind.
#[derive(Debug, thiserror::Error)]
#[error("expected `{prefix}` and 32 hexadecimal digits")]
pub struct BadId {
    prefix: &'static str,
}

#[doc(hidden)]
pub fn parse(text: &str, prefix: &'static str) -> Result<Uuid, BadId> {
    text.strip_prefix(prefix)
        .filter(|digits| digits.len() == 32 && !digits.bytes().any(|b| b.is_ascii_uppercase()))
        .and_then(|digits| Uuid::try_parse(digits).ok())
        .ok_or(BadId { prefix })
}

id!(
    OrgId,
    "org_",
    "An organization: the first argument of every statement."
);
