//! Ids, injected. An id is a UUID v7 behind a printed prefix (`run_…`), so that a stray id says
//! what it is of; the database holds the bare UUID.

use uuid::Uuid;

use super::{Clock, Random};

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
