//! What a step keeps of a text that was read from a memory: that personal data in it is kept from clients goes with it, so
//! that a version which hides nothing shows nothing that the one before it hid.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::guardrails::redact::{self, Counts, Set};

/// How reads are called in the journal.
pub(super) const GET: &str = "memory.get";
pub(super) const KEYS: &str = "memory.keys";

/// A text of the memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Read {
    Plain(String),
    /// Its writer's version keeps personal data from clients.
    Hidden {
        hidden: String,
    },
}

impl Read {
    pub fn of(text: String, hides_pii: bool) -> Self {
        match hides_pii {
            true => Self::Hidden { hidden: text },
            false => Self::Plain(text),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain(text) | Self::Hidden { hidden: text } => text.len(),
        }
    }
}

impl From<Read> for String {
    fn from(read: Read) -> Self {
        match read {
            Read::Plain(text) | Read::Hidden { hidden: text } => text,
        }
    }
}

/// A step as clients are shown it, whichever version the run is of: what was read without what its writer hides.
pub fn shown(kind: &str, request: &mut Value, response: &mut Value) {
    if kind != GET && kind != KEYS {
        return;
    }
    let hid = match response.get_mut("ok") {
        Some(Value::Array(keys)) => {
            keys.iter_mut()
                .filter_map(|key| hide(key).then_some(()))
                .count()
                > 0
        }
        Some(value) => hide(value),
        None => false,
    };
    if hid {
        redact::json(Set::with_pii(true), request, &mut Counts::default());
    }
}

fn hide(read: &mut Value) -> bool {
    let Some(Value::String(text)) = read.get_mut("hidden").map(Value::take) else {
        return false;
    };
    let text = redact::text(Set::with_pii(true), &text, &mut Counts::default()).into_owned();
    *read = Value::String(text);
    true
}
