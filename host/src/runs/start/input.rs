//! What a run is asked, and everything that can be wrong with it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agents::channels::Channel;
use crate::conversations::{ConversationId, Joined};
use crate::kit::{Code, Error, Result};
use crate::limits::Effective;
use crate::runs::Runs;

pub const INPUT_REFUSED: Code = Code::new("input_refused", 422, "The run's input is not usable");

const METADATA_MAX: usize = 16 << 10;
const MESSAGES_MAX: usize = 1_000;

/// A run to start.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    pub input: Input,
    /// A version's number; where it and `channel` are absent, the stable one, or the canary for its share.
    pub version: Option<i32>,
    /// `stable` or `canary`; not together with `version`.
    pub channel: Option<String>,
    /// A conversation of the key's: the run is given what was said in it, and takes the version it is pinned to.
    #[schema(value_type = Option<String>)]
    pub conversation_id: Option<ConversationId>,
    /// At least 1; the host's limit where absent or larger is refused.
    pub deadline_ms: Option<u64>,
    pub max_fuel: Option<u64>,
    /// Kept with the run and shown again; at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What the run is asked: a text, or the conversation so far with the message to answer last.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "`input` must be a text or a list of {role, text} with role user or assistant"
)]
pub enum Input {
    Text(String),
    Messages(Vec<Message>),
}

/// One message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

impl NewRun {
    /// What cannot be asked of a run in a conversation, besides all other faults.
    fn fits(&self, joined: &Joined, messages: &[Message], mut faults: Error) -> Error {
        if messages.len() > 1 {
            let what = "send only the new message: the conversation has the others";
            faults = faults.field("/input", what);
        }
        let Some(version) = joined.version else {
            return faults;
        };
        let what = format!("the conversation stays on version {version}: leave it out");
        if self.version.is_some_and(|named| named != version) {
            return faults.field("/version", what);
        }
        match self.channel {
            Some(_) => faults.field("/channel", what),
            None => faults,
        }
    }
}

impl Runs {
    /// Every fault of the request as one problem; the messages where there is none.
    pub(super) fn check(
        &self,
        new: &NewRun,
        limits: &Effective,
        joined: Option<&Joined>,
    ) -> Result<Vec<Message>> {
        let config = &self.inner.config;
        let (wall_ms, fuel) = (limits.each.wall_ms.value, limits.each.fuel.value);
        let mut faults = INPUT_REFUSED.because("The run cannot be started as it was asked for.");
        let messages = match &new.input {
            Input::Text(text) => vec![Message {
                role: Role::User,
                text: text.clone(),
            }],
            Input::Messages(messages) => messages.clone(),
        };
        let bytes: usize = messages.iter().map(|message| message.text.len()).sum();
        match messages.last() {
            None => faults = faults.field("/input", "say something: the list is empty"),
            Some(last) if last.role != Role::User => {
                faults = faults.field("/input", "the last message must be the user's");
            }
            Some(last) if last.text.trim().is_empty() => {
                faults = faults.field("/input", "say something: the text is empty");
            }
            Some(_) => {}
        }
        if messages.len() > MESSAGES_MAX {
            faults = faults.field("/input", format!("at most {MESSAGES_MAX} messages"));
        }
        if bytes > config.input_bytes {
            faults = faults.field(
                "/input",
                format!("{bytes} bytes of text; at most {}", config.input_bytes),
            );
        }
        if let Some(joined) = joined {
            faults = new.fits(joined, &messages, faults);
        }
        if new.deadline_ms.is_some_and(|ms| ms == 0 || ms > wall_ms) {
            faults = faults.field("/deadline_ms", format!("must be 1 to {wall_ms}"));
        }
        if new.max_fuel.is_some_and(|asked| asked == 0 || asked > fuel) {
            faults = faults.field("/max_fuel", format!("must be 1 to {fuel}"));
        }
        let named = new.channel.as_deref();
        if named.is_some_and(|channel| Channel::named(channel).is_none()) {
            faults = faults.field("/channel", "must be `stable` or `canary`");
        }
        if new.channel.is_some() && new.version.is_some() {
            faults = faults.field("/channel", "name a channel or a version, not both");
        }
        let metadata = new
            .metadata
            .as_ref()
            .map(serde_json::to_string)
            .transpose()?;
        if metadata.is_some_and(|text| text.len() > METADATA_MAX) {
            faults = faults.field("/metadata", format!("at most {METADATA_MAX} bytes of JSON"));
        }
        if faults.fields.is_empty() {
            Ok(messages)
        } else {
            Err(faults)
        }
    }
}
