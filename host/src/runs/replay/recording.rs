//! An ended run as a file: what it was asked, what its guest was answered, what it said. The SDK runs an agent natively
//! against it, so its form is versioned; it holds what a reader of the run may see, and no credential.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{NOT_ENDED, store};
use crate::agents::Settings;
use crate::agents::channels::By;
use crate::guardrails::redact::{Counts, Set, json};
use crate::guardrails::{At, Guard};
use crate::identity::Caller;
use crate::kit::clock::epoch_ms;
use crate::kit::{Error, Result};
use crate::models::guest::KIND as GENERATE;
use crate::runs::log::{all_events, standing};
use crate::runs::start::Message;
use crate::runs::{RunId, Runs};

/// Raised whenever a reader of before could not read it.
const FORM: u32 = 1;
const STEPS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 << 20;

/// A run to replay natively.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recording {
    /// The form of this document: 1.
    pub bulkhead_recording: u32,
    #[schema(value_type = String)]
    pub run: RunId,
    pub agent: String,
    pub version: i32,
    pub started_at_ms: u64,
    pub messages: Vec<Message>,
    /// The settings of the version, which hold no credential.
    pub settings: Settings,
    /// Everything the guest was answered, in order.
    pub steps: Vec<RecordedStep>,
    /// Everything that was said, without what was withdrawn.
    pub said: Vec<RecordedEvent>,
    /// A guardrail may have changed what was said before it was shown.
    pub rewritten: bool,
    pub stop_reason: String,
}

/// One answer from outside the guest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordedStep {
    pub kind: String,
    #[schema(value_type = Object)]
    pub request: Value,
    #[schema(value_type = Object)]
    pub response: Value,
    pub ended_at_ms: u64,
}

/// One thing the run said.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordedEvent {
    pub kind: String,
    #[schema(value_type = Object)]
    pub data: Value,
}

impl Runs {
    pub(super) async fn recording(
        &self,
        caller: &Caller,
        (agent, run): (&str, RunId),
    ) -> Result<Recording> {
        let view = self.get(caller, agent, run).await?;
        let Some(stop_reason) = view.stop_reason.filter(|_| view.ended_at.is_some()) else {
            let detail = format!("It is {}: record it once it has ended.", view.state);
            return Err(NOT_ENDED.because(detail));
        };
        let (db, org) = (&self.inner.db, caller.org);
        let version = By::Version(view.version);
        let resolved = self.inner.agents.resolve(caller, agent, version).await?;
        let rules = &resolved.guardrails;
        let guard = Guard::new(Arc::clone(rules));
        let mut messages = store::begun_as(db, org, run).await?.messages;
        for message in &mut messages {
            guard.clean(At::Log, &mut message.text);
        }
        let steps = self.steps(caller, agent, run, 0).await?;
        if steps.len() >= STEPS_MAX {
            return Err(too_large(format!("{STEPS_MAX} steps and more")));
        }
        let steps = steps.into_iter().filter_map(|step| {
            Some(RecordedStep {
                response: answer(&step.kind, step.response?),
                kind: step.kind,
                request: step.request,
                ended_at_ms: epoch_ms(step.ended_at?),
            })
        });
        let mut said = Vec::new();
        for event in standing(&all_events(db, org, run).await?) {
            if !event.is_last() {
                said.push(RecordedEvent {
                    kind: (*event.kind).to_owned(),
                    data: serde_json::from_str(&event.data)?,
                });
            }
        }
        let settings = self.inner.agents.settings(caller.org, &resolved).await?;
        let recording = Recording {
            bulkhead_recording: FORM,
            run,
            agent: view.agent,
            version: view.version,
            started_at_ms: epoch_ms(view.created_at),
            messages,
            settings: (*settings).clone(),
            steps: steps.collect(),
            said,
            rewritten: rules.redacts_output() || rules.components().next().is_some(),
            stop_reason,
        };
        Ok(recording.small()?.clean())
    }
}

impl Recording {
    fn small(self) -> Result<Self> {
        let bytes = serde_json::to_vec(&self)?.len();
        match bytes > BYTES_MAX {
            true => Err(too_large(format!("{bytes} bytes"))),
            false => Ok(self),
        }
    }

    /// Whatever the version declares: a file is passed on, and no credential goes with it.
    fn clean(mut self) -> Self {
        let mut counts = Counts::default();
        let mut clean = |value: &mut Value| json(Set::SECRETS, value, &mut counts);
        for step in &mut self.steps {
            clean(&mut step.request);
            clean(&mut step.response);
        }
        self.said
            .iter_mut()
            .for_each(|event| clean(&mut event.data));
        for message in &mut self.messages {
            let mut text = Value::String(std::mem::take(&mut message.text));
            clean(&mut text);
            message.text = text.as_str().unwrap_or_default().to_owned();
        }
        self
    }
}

/// What the guest was told: who generated it, and how it was counted, is the organization's own.
fn answer(kind: &str, mut response: Value) -> Value {
    if kind == GENERATE
        && let Some(told) = response.get_mut("ok").and_then(Value::as_object_mut)
    {
        told.retain(|field, _| ["chunks", "error"].contains(&field.as_str()));
    }
    response
}

fn too_large(what: String) -> Error {
    Error::unprocessable(format!(
        "The run has {what}; a recording has at most {STEPS_MAX} steps and {BYTES_MAX} bytes. Record a shorter one."
    ))
}
