//! The memory and the settings of a mock host, under the contract's bounds.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::json;

use super::host::with;
use crate::error::{Error, Result};

/// The contract's bounds, and the host's where its operator did not say otherwise.
const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 64 * 1024;
const KEYS: usize = 1_000;
const BYTES: usize = 256 * 1024;
const SET_BYTES: usize = 1024 * 1024;

/// What is kept, by key or name.
pub(super) type Texts = BTreeMap<String, String>;

pub(crate) fn remembered(key: &str) -> Result<Option<String>> {
    check(key)?;
    with(|host| {
        let recorded = host.remembered("memory.get", &json!({ "key": key }));
        recorded.unwrap_or_else(|| Ok(host.transcript.memory.get(key).cloned()))
    })
}

pub(crate) fn remember(key: &str, value: &str) -> Result<()> {
    check(key)?;
    if value.len() > VALUE_BYTES || value.contains('\0') {
        let what = format!("a value must be at most {VALUE_BYTES} bytes, without NUL");
        return Err(Error::Invalid(what));
    }
    with(|host| {
        let bytes = host.set_bytes + key.len() + value.len();
        if bytes > SET_BYTES {
            let what = format!("a run sets at most {SET_BYTES} bytes in sum");
            return Err(Error::Full(what));
        }
        let recorded = host.remembered("memory.set", &json!({ "key": key, "value": value }));
        let memory = &mut host.transcript.memory;
        if let Some(set) = recorded {
            return set.map(|()| _ = memory.insert(key.to_owned(), value.to_owned()));
        }
        if !memory.contains_key(key) && memory.len() >= KEYS {
            return Err(Error::Full(format!("it holds at most {KEYS} keys")));
        }
        let others = memory.iter().filter(|(other, _)| *other != key);
        let others: usize = others.map(|(key, value)| key.len() + value.len()).sum();
        if others + key.len() + value.len() > BYTES {
            return Err(Error::Full(format!("it holds at most {BYTES} bytes")));
        }
        memory.insert(key.to_owned(), value.to_owned());
        host.set_bytes = bytes;
        Ok(())
    })
}

pub(crate) fn forget(key: &str) -> Result<bool> {
    check(key)?;
    with(|host| {
        let recorded = host.remembered("memory.delete", &json!({ "key": key }));
        let was = host.transcript.memory.remove(key).is_some();
        recorded.unwrap_or(Ok(was))
    })
}

pub(crate) fn keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    with(|host| {
        let request = json!({ "prefix": prefix, "after": after, "limit": limit });
        if let Some(recorded) = host.remembered("memory.keys", &request) {
            return recorded;
        }
        let behind = host
            .transcript
            .memory
            .range::<str, _>((from, Bound::Unbounded));
        let keys = behind.map(|(key, _)| key);
        let keys = keys.take_while(|key| key.starts_with(prefix));
        Ok(keys.take(limit as usize).cloned().collect())
    })
}

pub(crate) fn setting(name: &str) -> Option<String> {
    with(|host| host.settings.get(name).cloned())
}

pub(crate) fn settings() -> Texts {
    with(|host| host.settings.clone())
}

fn check(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > KEY_BYTES || key.chars().any(char::is_control) {
        let what = format!("a key must be 1 to {KEY_BYTES} bytes, without control characters");
        return Err(Error::Invalid(what));
    }
    Ok(())
}
