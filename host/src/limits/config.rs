//! What the operator may give beyond the defaults, which stand where they are enforced: `sandbox.limits`, `runs`,
//! `agents`.

use serde::{Deserialize, Serialize, Serializer};

use super::{Each, Level, kinds};

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The most an organization or a version may be given. Where a limit is absent, its default is the most.
    #[serde(serialize_with = "what_is_set")]
    pub maximum: Each<Option<u64>>,
}

impl Default for Config {
    fn default() -> Self {
        let maximum = Each {
            component_bytes: Some(64 << 20),
            ..Each::default()
        };
        Self { maximum }
    }
}

fn what_is_set<S: Serializer>(each: &Each<Option<u64>>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(kinds().filter_map(|kind| each.get(kind).map(|value| (kind.name, value))))
}

impl Config {
    /// Refuses a maximum that is below what the host gives anyway, or that means nothing.
    pub fn check(&self, host: &Each<u64>) -> Result<(), String> {
        for kind in kinds() {
            let (Some(most), value) = (*self.maximum.get(kind), *host.get(kind)) else {
                continue;
            };
            let key = format!("`limits.maximum.{}`", kind.name);
            if kind.level == Level::Host {
                return Err(format!(
                    "{key} means nothing: there is one value for the whole host."
                ));
            }
            if most < value {
                return Err(format!(
                    "{key} is {most}, below {value}, which the host gives anyway: raise it."
                ));
            }
        }
        Ok(())
    }
}
