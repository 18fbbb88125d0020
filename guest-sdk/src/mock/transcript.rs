//! What an agent did in a run on the mock host, in order, and the usual questions to it.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::knowledge::Query;
use crate::log::Level;
use crate::model::Request;
use crate::turn::Outcome;

/// All that an agent did.
///
/// ```
/// use bulkhead_sdk::mock::{Event, MockHost};
/// use bulkhead_sdk::{Agent, Outcome, Turn};
///
/// let transcript = MockHost::new()
///     .knowledge("Limits", "Each run has fuel.")
///     .model("Fuel [1].")
///     .run(|turn: Turn| Agent::new("Be brief.").knowledge(2).run(&turn), "which limits has a run?");
///
/// let [Event::Text(_), Event::Text(marker), Event::Citation(cited)] = &transcript.events[..] else {
///     panic!("{:?}", transcript.events);
/// };
/// assert_eq!((marker.as_str(), cited.title.as_str()), ("[1].", "Limits"));
/// assert_eq!(transcript.requests[0].messages.len(), 2);
/// assert_eq!(transcript.queries[0].limit, 2);
/// assert_eq!(transcript.answers_left, 0);
/// ```
#[derive(Clone, Debug)]
pub struct Transcript {
    /// What the run's client would see, in order.
    pub events: Vec<Event>,
    /// What the model was asked.
    pub requests: Vec<Request>,
    /// What knowledge was asked.
    pub queries: Vec<Query>,
    /// Lines for the author.
    pub log: Vec<(Level, String)>,
    /// What the run left in the conversation's memory.
    pub memory: BTreeMap<String, String>,
    /// Scripted answers that no generation took.
    pub answers_left: usize,
    /// How the run ended.
    pub outcome: Result<Outcome>,
}

/// One thing the run's client would see.
///
/// ```
/// use bulkhead_sdk::mock::Event;
///
/// assert_eq!(Event::Text("hi".to_owned()), Event::Text("hi".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// More of the answer.
    Text(String),
    /// A passage was cited.
    Citation(Cited),
    /// What the agent was doing.
    Status(String),
    /// A tool started.
    ToolStarted {
        /// The call's number within the run, from 1.
        call: u32,
        /// The tool's name.
        name: String,
        /// What it was asked.
        arguments: String,
    },
    /// A tool answered.
    ToolFinished {
        /// The call's number within the run.
        call: u32,
        /// What it answered; `Err` where it failed.
        answer: Result<String, String>,
    },
}

/// A passage that was cited.
///
/// ```
/// use bulkhead_sdk::mock::Cited;
///
/// let cited = Cited { number: 1, title: "Limits".to_owned(), quote: None };
/// assert_eq!(cited.number, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cited {
    /// The number the text cites it by.
    pub number: u32,
    /// The title of the passage.
    pub title: String,
    /// The words that were meant.
    pub quote: Option<String>,
}

/// A tool call, from start to end.
///
/// ```
/// use bulkhead_sdk::mock::ToolRun;
///
/// let run = ToolRun { name: "add".to_owned(), arguments: "{}".to_owned(), answer: Err("argument `a` is missing".to_owned()) };
/// assert!(run.answer.is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRun {
    /// The tool's name.
    pub name: String,
    /// What it was asked.
    pub arguments: String,
    /// What it answered; `Err` where it failed or never finished.
    pub answer: Result<String, String>,
}

impl Transcript {
    /// The whole answer.
    #[must_use]
    pub fn text(&self) -> String {
        let text = |event: &Event| match event {
            Event::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    /// The passages that were cited, in order.
    #[must_use]
    pub fn citations(&self) -> Vec<&Cited> {
        let mut citations = Vec::new();
        for event in &self.events {
            if let Event::Citation(cited) = event {
                citations.push(cited);
            }
        }
        citations
    }

    /// What the agent said it was doing, in order.
    #[must_use]
    pub fn statuses(&self) -> Vec<&str> {
        let mut statuses = Vec::new();
        for event in &self.events {
            if let Event::Status(text) = event {
                statuses.push(text.as_str());
            }
        }
        statuses
    }

    /// The tool calls, in the order they started.
    #[must_use]
    pub fn tool_calls(&self) -> Vec<ToolRun> {
        let started = |event: &Event| match event {
            Event::ToolStarted {
                call,
                name,
                arguments,
            } => Some(ToolRun {
                name: name.clone(),
                arguments: arguments.clone(),
                answer: self.answer(*call),
            }),
            _ => None,
        };
        self.events.iter().filter_map(started).collect()
    }

    fn answer(&self, number: u32) -> Result<String, String> {
        self.events
            .iter()
            .find_map(|event| match event {
                Event::ToolFinished { call, answer } if *call == number => Some(answer.clone()),
                _ => None,
            })
            .unwrap_or_else(|| Err("the call was never finished".to_owned()))
    }
}
