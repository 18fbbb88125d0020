//! What guests see of the memory of their conversation: every call is a recorded step. A life that is answered from the
//! journal makes the writes in it again, here and nowhere else, so that it sees what its earlier life saw.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::HasData;

use super::{DELETE, Kept, SET, store};
use crate::conversations::{ConversationId, Conversations};
use crate::guardrails::{At, Guard};
use crate::kit::{Error, OrgId, db};
use crate::sandbox::bindings::bulkhead::agent::memory as wit;
use crate::sandbox::{Host, Journal, journal};

/// The contract's bounds. Not configuration: what is refused here is never recorded, so it must not change between
/// two lives of a run.
const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 64 << 10;
const LIMIT_MAX: u32 = 1_000;

/// What the memory keeps of a run.
#[derive(Debug)]
pub struct Context {
    conversations: Conversations,
    org: OrgId,
    /// None where the run is of no conversation: its memory is its own.
    conversation: Option<ConversationId>,
    guard: Arc<Guard>,
    /// What the run wrote last under each key, until the memory is read.
    written: BTreeMap<String, Option<String>>,
    /// What is there. Nothing is read before a life comes to where no earlier one was.
    kept: Option<Kept>,
}

impl Context {
    pub fn new(
        conversations: Conversations,
        (org, conversation): (OrgId, Option<ConversationId>),
        guard: Arc<Guard>,
    ) -> Self {
        Self {
            conversations,
            org,
            conversation,
            guard,
            written: BTreeMap::new(),
            kept: None,
        }
    }

    /// What is there, read once: nobody else writes it while the run goes on.
    async fn kept(&mut self) -> Result<&Kept, wit::Error> {
        if self.kept.is_none() {
            let mut kept = match self.conversation {
                Some(id) => read(self.conversations.clone(), self.org, id).await?,
                None => Kept::default(),
            };
            for (key, value) in std::mem::take(&mut self.written) {
                kept.apply(key, value);
            }
            self.kept = Some(kept);
        }
        Ok(self.kept.get_or_insert_default())
    }

    fn wrote(&mut self, key: String, value: Option<String>) {
        match &mut self.kept {
            Some(kept) => kept.apply(key, value),
            None => _ = self.written.insert(key, value),
        }
    }

    /// The key and the value as they may be kept: the name of a key may say that its value is a credential.
    fn clean(&self, key: String, value: String) -> (String, String) {
        let pair = Map::from_iter([(key.clone(), Value::String(value))]);
        let mut pair = Value::Object(pair);
        self.guard.clean_json(At::Memory, &mut pair);
        let value = match pair[key.as_str()].take() {
            Value::String(value) => value,
            _ => String::new(),
        };
        (self.clean_key(key), value)
    }

    fn clean_key(&self, mut key: String) -> String {
        self.guard.clean(At::Memory, &mut key);
        key
    }
}

/// The memory of a guest's conversation, for one call.
pub struct View<'a> {
    pub context: &'a mut Context,
    pub host: &'a mut Host,
    pub journal: &'a mut dyn Journal,
}

pub struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

impl wit::Host for View<'_> {
    async fn get(&mut self, key: String) -> Answer<Option<String>> {
        self.host.crossing(key.len())?;
        if let Some(why) = unfit_key(&key) {
            return Ok(Err(wit::Error::Invalid(why)));
        }
        let key = self.context.clean_key(key);
        let _at = self.host.at("memory");
        let request = json!({ "key": key });
        let context = &mut *self.context;
        let perform = async {
            let kept = context.kept().await?;
            Ok::<_, wit::Error>(kept.get(&key).map(str::to_owned))
        };
        let found = journal::answer(&mut *self.journal, "memory.get", &request, perform).await?;
        let bytes = found
            .as_ref()
            .map_or(0, |value| value.as_ref().map_or(0, String::len));
        self.host.answer(bytes)?;
        Ok(found)
    }

    async fn set(&mut self, key: String, value: String) -> Answer<()> {
        self.host.crossing(key.len() + value.len())?;
        if let Some(why) = unfit_key(&key).or_else(|| unfit_value(&value)) {
            return Ok(Err(wit::Error::Invalid(why)));
        }
        let (key, value) = self.context.clean(key, value);
        let _at = self.host.at("memory");
        let request = json!({ "key": key, "value": value });
        let context = &mut *self.context;
        let perform = async {
            let config = context.conversations.memory.clone();
            let kept = context.kept().await?;
            match kept.refuses(&key, &value, &config) {
                Some(why) => Err(wit::Error::Full(why)),
                None => Ok(()),
            }
        };
        let set = journal::answer(&mut *self.journal, SET, &request, perform).await?;
        if set.is_ok() {
            self.context.wrote(key, Some(value));
        }
        Ok(set)
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        self.host.crossing(key.len())?;
        if let Some(why) = unfit_key(&key) {
            return Ok(Err(wit::Error::Invalid(why)));
        }
        let key = self.context.clean_key(key);
        let _at = self.host.at("memory");
        let request = json!({ "key": key });
        let context = &mut *self.context;
        let perform = async { Ok::<_, wit::Error>(context.kept().await?.get(&key).is_some()) };
        let was = journal::answer(&mut *self.journal, DELETE, &request, perform).await?;
        if was.is_ok() {
            self.context.wrote(key, None);
        }
        Ok(was)
    }

    async fn keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Answer<Vec<String>> {
        self.host
            .crossing(prefix.len() + after.as_ref().map_or(0, String::len))?;
        let long = |text: &str| text.len() > KEY_BYTES_MAX || text.contains('\0');
        if long(&prefix) || after.as_deref().is_some_and(long) {
            let why =
                format!("`prefix` and `after` are at most {KEY_BYTES_MAX} bytes, without NUL");
            return Ok(Err(wit::Error::Invalid(why)));
        }
        if !(1..=LIMIT_MAX).contains(&limit) {
            let why = format!("`limit` must be 1 to {LIMIT_MAX}");
            return Ok(Err(wit::Error::Invalid(why)));
        }
        let prefix = self.context.clean_key(prefix);
        let after = after.map(|after| self.context.clean_key(after));
        let _at = self.host.at("memory");
        let request = json!({ "prefix": prefix, "after": after, "limit": limit });
        let context = &mut *self.context;
        let perform = async {
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            let kept = context.kept().await?;
            Ok::<_, wit::Error>(kept.keys(&prefix, after.as_deref(), most))
        };
        let found = journal::answer(&mut *self.journal, "memory.keys", &request, perform).await?;
        let keys = found.iter().flatten();
        self.host.answer(keys.map(String::len).sum())?;
        Ok(found)
    }
}

fn unfit_key(key: &str) -> Option<String> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Some(format!("a key must be 1 to {KEY_BYTES_MAX} bytes"));
    }
    let is_plain = !key.chars().any(char::is_control);
    (!is_plain).then(|| "a key must have no control characters".to_owned())
}

fn unfit_value(value: &str) -> Option<String> {
    if value.len() > VALUE_BYTES_MAX {
        return Some(format!(
            "a value must be at most {VALUE_BYTES_MAX} bytes; this one has {}",
            value.len()
        ));
    }
    // The record cannot hold it.
    (value.contains('\0')).then(|| "a value must not hold the character NUL".to_owned())
}

/// What the runs before left, on the control runtime; ends with whoever waits for it. A guest is not told of a database
/// that is away for a moment: its answer would be recorded, and stand for ever.
async fn read(
    conversations: Conversations,
    org: OrgId,
    id: ConversationId,
) -> Result<Kept, wit::Error> {
    let tasks = conversations.tasks.clone();
    let read = tasks.spawn(async move {
        let ask = || store::values(&conversations.db, org, id);
        db::patiently("a memory", ask).await
    });
    let values = match AbortOnDropHandle::new(read).await {
        Ok(values) => values,
        Err(error) => Err(Error::internal(error)),
    };
    values.map(Kept::of).map_err(|error| {
        tracing::warn!(%error, cause = error.chain(), "a guest's memory cannot be read");
        wit::Error::Unavailable("the memory cannot be read now".to_owned())
    })
}
