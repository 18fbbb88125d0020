//! What guests see of knowledge: `search`, a recorded answer, and the hits of the run, which citations are checked
//! against. The record holds everything of a hit, so a replayed run can cite what its earlier life found.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::HasData;

use super::{ChunkId, EntryId, Hit, Knowledge, Query};
use crate::guardrails::{At, Guard};
use crate::kit::trace::{genai, kinds};
use crate::kit::{Error, OrgId, Trace, db};
use crate::sandbox::bindings::bulkhead::agent::knowledge as wit;
use crate::sandbox::{Host, Journal, journal};

/// The contract's bounds. Not configuration: what is refused here is never recorded, so it must not change between
/// two lives of a run.
const TEXT_BYTES_MAX: usize = 4096;
const LIMIT_MAX: u32 = 32;
const TAGS_MAX: usize = 16;

/// What knowledge keeps of a run.
#[derive(Debug)]
pub struct Context {
    knowledge: Knowledge,
    org: OrgId,
    guard: Arc<Guard>,
    /// The run in its trace.
    trace: Trace,
    /// By handle number. A chunk found twice is kept once: chunks never change.
    hits: Vec<Arc<Found>>,
    chunks: HashMap<ChunkId, Arc<Found>>,
}

/// A hit as it is recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    chunk: ChunkId,
    entry: EntryId,
    title: String,
    heading: String,
    source: Option<String>,
    start_byte: i32,
    text: String,
    score: f64,
}

/// A citation that was checked; offsets are bytes of the entry's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CitedPassage {
    pub entry: String,
    pub chunk: String,
    pub title: String,
    pub heading: String,
    pub source: Option<String>,
    pub start_byte: u64,
    pub end_byte: u64,
    pub quote: String,
}

/// Why a citation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CiteError {
    #[error("no hit of this run has the handle")]
    UnknownHandle,
    #[error("the quote does not stand in the passage")]
    NotInPassage,
}

impl Context {
    pub fn new(knowledge: Knowledge, org: OrgId, (guard, trace): (Arc<Guard>, Trace)) -> Self {
        Self {
            knowledge,
            org,
            guard,
            trace,
            hits: Vec::new(),
            chunks: HashMap::new(),
        }
    }

    /// Checks a citation: the handle must be of a hit of this run, the quote must stand in its passage word for word.
    /// Without a quote the whole passage is meant.
    pub fn cite(&self, handle: &str, quote: Option<&str>) -> Result<CitedPassage, CiteError> {
        let found = number(handle)
            .and_then(|number| self.hits.get(number))
            .ok_or(CiteError::UnknownHandle)?;
        let quote = quote.unwrap_or(&found.text);
        let at = (!quote.is_empty())
            .then(|| found.text.find(quote))
            .flatten()
            .ok_or(CiteError::NotInPassage)?;
        let start = u64::try_from(found.start_byte).unwrap_or(0) + at as u64;
        Ok(CitedPassage {
            entry: found.entry.to_string(),
            chunk: found.chunk.to_string(),
            title: found.title.clone(),
            heading: found.heading.clone(),
            source: found.source.clone(),
            start_byte: start,
            end_byte: start + quote.len() as u64,
            quote: quote.to_owned(),
        })
    }

    /// Keeps the hits of a search and gives them handles, the same in every life of the run.
    fn keep(&mut self, found: Vec<Found>) -> Vec<wit::Hit> {
        let mut hits = Vec::with_capacity(found.len());
        for found in found {
            let score = found.score;
            let found = self
                .chunks
                .entry(found.chunk)
                .or_insert_with(|| Arc::new(found));
            hits.push(wit::Hit {
                handle: handle(self.hits.len()),
                title: found.title.clone(),
                heading: found.heading.clone(),
                text: found.text.clone(),
                score,
            });
            self.hits.push(Arc::clone(found));
        }
        hits
    }
}

fn handle(number: usize) -> String {
    format!("hit-{}", number + 1)
}

/// Only what `handle` made: `hit-01` names nothing.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.strip_prefix("hit-")?.parse().ok()?;
    let number = number.checked_sub(1)?;
    (handle(number) == text).then_some(number)
}

/// The knowledge of a guest's organization, for one call.
pub struct View<'a> {
    pub context: &'a mut Context,
    pub host: &'a mut Host,
    pub journal: &'a mut dyn Journal,
}

pub struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

impl wit::Host for View<'_> {
    async fn search(
        &mut self,
        query: wit::Query,
    ) -> wasmtime::Result<Result<Vec<wit::Hit>, wit::Error>> {
        let tags: usize = query.tags.iter().map(String::len).sum();
        self.host.crossing(query.text.len() + tags)?;
        let query = match check(query) {
            Ok(mut query) => {
                self.context.guard.clean(At::Knowledge, &mut query.text);
                query
            }
            Err(invalid) => return Ok(Err(wit::Error::Invalid(invalid))),
        };
        let _at = self.host.at("search");
        let answer_bytes = self.host.limits().answer_bytes;
        let perform = perform(
            self.context.knowledge.clone(),
            self.context.org,
            query.clone(),
            (answer_bytes, Arc::clone(&self.context.guard)),
        );
        let perform = traced(self.context.trace.clone(), query.text.clone(), perform);
        let found = journal::answer(self.journal, "knowledge.search", &query, perform).await?;
        let hits = match found {
            Ok(found) => {
                self.context.guard.found(found.len());
                self.context.keep(found)
            }
            Err(error) => return Ok(Err(error)),
        };
        self.host.crossing(hits.iter().map(bytes).sum())?;
        Ok(Ok(hits))
    }
}

fn bytes(hit: &wit::Hit) -> usize {
    hit.handle.len() + hit.title.len() + hit.heading.len() + hit.text.len()
}

fn check(query: wit::Query) -> Result<Query, String> {
    let wit::Query { text, limit, tags } = query;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(format!("`text` must be 1 to {TEXT_BYTES_MAX} bytes"));
    }
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(format!("`limit` must be 1 to {LIMIT_MAX}"));
    }
    if tags.len() > TAGS_MAX {
        return Err(format!("`tags` must be at most {TAGS_MAX}"));
    }
    // The record cannot hold a NUL, and no word or tag has one.
    let clean = |text: String| text.replace('\0', "\u{fffd}");
    Ok(Query {
        text: clean(text),
        limit,
        tags: tags.into_iter().map(clean).collect(),
    })
}

/// The search itself, on the control runtime; ends with whoever waits for it. A guest is not told of a database that is
/// away for a moment: its answer would be recorded, and stand for ever.
async fn perform(
    knowledge: Knowledge,
    org: OrgId,
    query: Query,
    (answer_bytes, guard): (usize, Arc<Guard>),
) -> Result<Vec<Found>, wit::Error> {
    let bytes_max = knowledge.config.hits_bytes_max.min(answer_bytes);
    let tasks = knowledge.tasks.clone();
    let search = tasks
        .spawn(async move { db::patiently("a search", || knowledge.search(org, &query)).await });
    match AbortOnDropHandle::new(search).await {
        Ok(Ok(hits)) => Ok(clean(&guard, within(hits, bytes_max))),
        Ok(Err(error)) => Err(refusal(error)),
        Err(error) => Err(refusal(Error::internal(error))),
    }
}

/// The search in the run's trace.
async fn traced(
    trace: Trace,
    text: String,
    perform: impl Future<Output = Result<Vec<Found>, wit::Error>>,
) -> Result<Vec<Found>, wit::Error> {
    let span = trace.child(genai::retrieval);
    span.content(genai::QUERY_TEXT, || {
        genai::cut(&text, genai::CONTENT_BYTES_MAX).to_owned()
    });
    let found = perform.await;
    match &found {
        Ok(hits) => span.set(kinds::HITS, i64::try_from(hits.len()).unwrap_or(i64::MAX)),
        Err(wit::Error::Invalid(_)) => span.fail("invalid"),
        Err(wit::Error::Unavailable(_)) => span.fail("unavailable"),
    }
    found
}

/// The best of `hits` that fit.
fn within(hits: Vec<Hit>, bytes_max: usize) -> Vec<Found> {
    let mut bytes = 0;
    hits.into_iter()
        .map(|hit| Found {
            chunk: hit.chunk,
            entry: hit.entry,
            title: hit.title,
            heading: hit.heading,
            source: hit.source,
            start_byte: hit.start_byte,
            text: hit.text,
            score: hit.score,
        })
        .take_while(|found| {
            bytes += found.title.len() + found.heading.len() + found.text.len();
            bytes <= bytes_max
        })
        .collect()
}

/// No credential that somebody put into the knowledge is given on, or recorded.
fn clean(guard: &Guard, mut hits: Vec<Found>) -> Vec<Found> {
    for hit in &mut hits {
        guard.clean(At::Knowledge, &mut hit.title);
        guard.clean(At::Knowledge, &mut hit.heading);
        guard.clean(At::Knowledge, &mut hit.text);
    }
    hits
}

/// What a guest is told: what it can change, or that it cannot.
fn refusal(error: Error) -> wit::Error {
    match error.code.status {
        500.. => {
            tracing::warn!(%error, cause = error.chain(), "a guest's search failed");
            wit::Error::Unavailable("knowledge cannot be searched now".into())
        }
        _ => {
            let fields = error.fields.iter();
            let fields: Vec<String> = fields
                .map(|f| format!("`{}` {}", f.pointer, f.detail))
                .collect();
            wit::Error::Invalid(format!("{} {}", error.detail, fields.join(", ")))
        }
    }
}
