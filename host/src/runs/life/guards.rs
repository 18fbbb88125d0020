//! What guardrails do around a guest's turn, in the guest's own place: before it begins, once it has returned, and where
//! one ended it. What they ask a model passes the journal, so that every life of the run is answered the same.

use futures_util::future::BoxFuture;
use serde_json::json;
use wasmtime::component::Resource;

use crate::guardrails::{At, Kind, Rule, guard, topic};
use crate::runs::imports::Guest;
use crate::runs::log::Event;
use crate::sandbox::bindings::bulkhead::agent::model::{self as wit, HostGeneration as _};
use crate::sandbox::bindings::bulkhead::agent::types::{Speaker, Turn};
use crate::sandbox::{Around, Blocked};

impl Around for Guest {
    fn begin(&mut self, turn: Turn) -> BoxFuture<'_, wasmtime::Result<Turn>> {
        Box::pin(async move {
            let turn = self.judged(turn).await?;
            self.on_topic(&turn).await?;
            Ok(turn)
        })
    }

    fn returned(&mut self) -> BoxFuture<'_, wasmtime::Result<()>> {
        Box::pin(async move {
            self.talks().say_rest().await?;
            let guard = self.record().guard();
            guard.finishes().map_err(wasmtime::Error::new)
        })
    }

    fn blocked(&mut self, by: Blocked) -> BoxFuture<'_, wasmtime::Result<()>> {
        Box::pin(async move {
            let said = self.record().say(Event::Blocked(Box::new(by))).await;
            said.map_err(wasmtime::Error::new)
        })
    }
}

impl Guest {
    /// What the guardrail components let pass of the message to answer.
    async fn judged(&mut self, mut turn: Turn) -> wasmtime::Result<Turn> {
        let talks = self.talks();
        let judge = talks.judge().clone();
        let Some(last) = turn.messages.last_mut().filter(|_| judge.is_needed()) else {
            return Ok(turn);
        };
        let _at = talks.host.at("guardrail");
        let text = std::mem::take(&mut last.text);
        last.text = judge
            .judge(&mut *talks.journal, (At::Input, None), text)
            .await?;
        Ok(turn)
    }

    /// A question that is plainly about something else is refused in the agent's stead.
    async fn on_topic(&mut self, turn: &Turn) -> wasmtime::Result<()> {
        let rules = self.record().guard().rules().clone();
        let topic = |rule: &'_ Rule| match rule {
            Rule::Topic(topic) => Some(topic.clone()),
            _ => None,
        };
        let Some((topic, rule)) = rules.find(topic) else {
            return Ok(());
        };
        let question = turn
            .messages
            .iter()
            .rev()
            .find(|message| message.speaker == Speaker::User);
        let text = question.map_or("", |message| message.text.as_str());
        if !topic::is_no(&self.classified(&topic, text).await?) {
            return Ok(());
        }
        let text = topic::refusal(&topic);
        self.record()
            .say(Event::Text { text })
            .await
            .map_err(wasmtime::Error::new)?;
        let message = "the question is about something else".to_owned();
        let blocked = guard::blocked(Kind::Topic, rule, At::Input, (message, json!({})));
        Err(wasmtime::Error::new(blocked))
    }

    /// What the model says; nothing where it fails.
    async fn classified(&mut self, topic: &str, text: &str) -> wasmtime::Result<String> {
        let part = |text: String| vec![wit::Part::Text(text)];
        let request = wit::Request {
            model: None,
            messages: vec![
                wit::Message {
                    role: wit::Role::System,
                    parts: part(topic::instructions(topic)),
                },
                wit::Message {
                    role: wit::Role::User,
                    parts: part(text.to_owned()),
                },
            ],
            tools: Vec::new(),
            max_tokens: Some(topic::ANSWER_TOKENS),
        };
        let mut models = self.models();
        let Ok(generation) = models.begin(request).await? else {
            return Ok(String::new());
        };
        let (id, mut answer) = (generation.rep(), String::new());
        let whole = loop {
            match models.next_piece(Resource::new_borrow(id)).await? {
                Ok(Some(wit::Chunk::Text(text))) => answer.push_str(&text),
                Ok(Some(wit::Chunk::ToolCall(_))) => {}
                Ok(Some(wit::Chunk::Finish(_)) | None) => break true,
                Err(_) => break false,
            }
        };
        models.drop(generation).await?;
        Ok(if whole { answer } else { String::new() })
    }
}
