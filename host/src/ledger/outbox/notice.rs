//! One event of the catalogue as it is written: what, of whom, when, and a little about it. Whoever makes the change
//! makes the notice; the same change made again carries the same id, so it is one event.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Topic;
use crate::id;
use crate::kit::OrgId;

id!(
    EventId,
    "evt_",
    "An event an organization is told of; the same over all attempts."
);

/// An event to announce.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: EventId,
    pub org: OrgId,
    pub topic: Topic,
    pub at: OffsetDateTime,
    /// The run it is of, and where in that run's log.
    pub run: Option<(Uuid, i32)>,
    /// What a receiver is told: small, without secrets, inputs or outputs.
    pub data: String,
}

impl Notice {
    pub fn new(id: EventId, org: OrgId, topic: Topic, at: OffsetDateTime, data: &Value) -> Self {
        Self {
            id,
            org,
            topic,
            at,
            run: None,
            data: data.to_string(),
        }
    }

    /// Of a run, at `seq` of its log. Its id grows from these and the topic, so a run says it once however often it is
    /// begun.
    pub fn of_run(mut self, run: impl Into<Uuid>, seq: i32) -> Self {
        let run = run.into();
        let mut digest = Sha256::new();
        digest.update(run.as_bytes());
        digest.update(seq.to_be_bytes());
        digest.update(self.topic.name());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.finalize()[..16]);
        // Near each other in the index, as the runs are.
        bytes[..6].copy_from_slice(&run.as_bytes()[..6]);
        self.id = EventId(uuid::Builder::from_custom_bytes(bytes).into_uuid());
        self.run = Some((run, seq));
        self
    }
}
