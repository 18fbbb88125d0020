//! The list of limits, once: a value of any kind for each of them. What the room keeps, takes and shows is this.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::sandbox;

/// Who may set a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The operator, for the whole host.
    Host,
    /// The operator, and an organization for all it has.
    Org,
    /// Those, and one version of an agent.
    Version,
}

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    place: usize,
    /// Its name in requests, in the configuration and in errors.
    pub name: &'static str,
    pub level: Level,
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident: $level:ident,)+) => {
        const LIST: &[(&str, Level)] = &[$((stringify!($name), Level::$level)),+];

        /// A value for each limit.
        #[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
        pub struct Each<T> {
            $($(#[doc = $doc])* pub $name: T,)+
        }

        /// Limits to be given: what is absent or null is not set.
        #[derive(Debug, ToSchema)]
        pub struct LimitsGiven {
            $($(#[doc = $doc])* pub $name: Option<u64>,)+
        }

        impl<T> Each<T> {
            /// A value for each, in the order they are shown in.
            pub fn from_fn(mut value: impl FnMut(Kind) -> T) -> Self {
                let mut kinds = kinds();
                let mut next = || value(kinds.next().expect("the list has one for each field"));
                Self { $($name: next()),+ }
            }

            pub fn get(&self, kind: Kind) -> &T {
                [$(&self.$name),+][kind.place]
            }
        }
    };
}

limits! {
    /// Instructions, roughly; host calls and memory growth cost fuel too.
    fuel: Version,
    /// Milliseconds a run may take.
    wall_ms: Version,
    /// Linear memory, summed over the run's memories.
    memory_bytes: Version,
    /// Elements of a table.
    table_elements: Version,
    core_instances: Version,
    memories: Version,
    tables: Version,
    /// Calls into the host, WASI's included.
    host_calls: Version,
    crossing_bytes_per_call: Version,
    crossing_bytes_per_run: Version,
    /// What the host gives in one answer: a model's chunk, the hits of a search.
    answer_bytes: Version,
    /// Resources open at one time.
    handles: Version,
    /// Text and other output over the whole run.
    output_bytes: Version,
    /// Kept of each of stdout, stderr and the log.
    log_bytes_per_stream: Version,
    random_bytes_per_call: Version,
    /// The largest component that is taken: an organization's, for all its agents.
    component_bytes: Org,
    /// Runs at one time: an organization's, on each host.
    concurrent_runs: Org,
    /// Stack of a guest: the engine's, one for all; only the operator sets it.
    stack_bytes: Host,
}

/// Every limit, in the order they are shown in.
pub fn kinds() -> impl Iterator<Item = Kind> {
    LIST.iter()
        .enumerate()
        .map(|(place, &(name, level))| Kind { place, name, level })
}

impl<T> Each<Option<T>> {
    pub fn is_empty(&self) -> bool {
        kinds().all(|kind| self.get(kind).is_none())
    }
}

impl Each<u64> {
    /// The sandbox's part of them.
    pub fn sandbox(&self) -> sandbox::Limits {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        sandbox::Limits {
            fuel: self.fuel,
            memory_bytes: size(self.memory_bytes),
            table_elements: size(self.table_elements),
            core_instances: size(self.core_instances),
            memories: size(self.memories),
            tables: size(self.tables),
            host_calls: self.host_calls,
            crossing_bytes_per_call: self.crossing_bytes_per_call,
            crossing_bytes_per_run: self.crossing_bytes_per_run,
            answer_bytes: size(self.answer_bytes),
            handles: size(self.handles),
            output_bytes: self.output_bytes,
            log_bytes_per_stream: size(self.log_bytes_per_stream),
            random_bytes_per_call: self.random_bytes_per_call,
        }
    }
}

/// A JSON object by names.
impl<T: Serialize> Serialize for Each<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(kinds().map(|kind| (kind.name, self.get(kind))))
    }
}

/// Strict: an object, no unknown name, none twice. What is absent has the default.
impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Names(PhantomData))
    }
}

struct Names<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Names<T> {
    type Value = Each<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Each<T>, A::Error> {
        let mut values: Vec<Option<T>> = kinds().map(|_| None).collect();
        while let Some(name) = map.next_key::<String>()? {
            let Some(kind) = kinds().find(|kind| kind.name == name) else {
                let names: Vec<&str> = kinds().map(|kind| kind.name).collect();
                let text = format!(
                    "unknown limit `{name}`, expected one of {}",
                    names.join(", ")
                );
                return Err(A::Error::custom(text));
            };
            if values[kind.place].replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format!("duplicate limit `{name}`")));
            }
        }
        Ok(Each::from_fn(|kind| {
            values[kind.place].take().unwrap_or_default()
        }))
    }
}
