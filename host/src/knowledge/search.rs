//! Search: a question in plain language, the organization's best passages. The index finds and ranks, PostgreSQL
//! gives the text, so a hit is always of the asking organization and still there. Dropping a search stops it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::index::{OpenIndex, Question, Ranking, analyzer, best};
use super::passage::{Asked, Reading};
use super::store::{self, Passage};
use super::{ChunkId, Config, EntryId, Knowledge};
use crate::kit::{Error, OrgId, Result};

const LIMIT_DEFAULT: u32 = 8;
/// What a passage gains at most from other passages of its entry.
const SUPPORT: f64 = 0.25;

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KnowledgeQuery)]
pub struct Query {
    /// In plain language, at most 4 KiB. There are no operators: every character may stand for itself.
    pub text: String,
    /// The most hits wanted, 1 to 32; 8 where absent.
    #[serde(default = "limit_default")]
    pub limit: u32,
    /// Only entries with all of these tags; at most 16.
    #[serde(default)]
    pub tags: Vec<String>,
}

fn limit_default() -> u32 {
    LIMIT_DEFAULT
}

impl Query {
    pub(super) fn check(&self, config: &Config) -> Result<()> {
        let refuse = |pointer: &str, detail: String| {
            Err(Error::unprocessable("The query cannot be asked.").field(pointer, detail))
        };
        if self.text.is_empty() || self.text.len() > config.query_bytes_max {
            let detail = format!("must be 1 to {} bytes", config.query_bytes_max);
            return refuse("/text", detail);
        }
        if !(1..=config.hits_max).contains(&self.limit) {
            return refuse("/limit", format!("must be 1 to {}", config.hits_max));
        }
        if self.tags.len() > config.query_tags_max {
            return refuse(
                "/tags",
                format!("must be at most {}", config.query_tags_max),
            );
        }
        if let Some(place) = self
            .tags
            .iter()
            .position(|tag| tag.len() > config.tag_bytes_max)
        {
            let detail = format!("must be at most {} bytes", config.tag_bytes_max);
            return refuse(&format!("/tags/{place}"), detail);
        }
        Ok(())
    }
}

/// A passage that matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    #[schema(value_type = String)]
    pub chunk: ChunkId,
    #[schema(value_type = String)]
    pub entry: EntryId,
    /// The entry's title.
    pub title: String,
    /// The headings the passage stands under, joined by ` > `.
    pub heading: String,
    /// Where the entry came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Comparable within one answer only; larger is better.
    pub score: f64,
    /// Where the passage starts in the entry's content.
    pub start_byte: i32,
    pub end_byte: i32,
    pub snippet: Snippet,
    /// The whole passage.
    pub text: String,
}

/// The part of a passage that answers best; offsets are bytes of the entry's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    pub text: String,
    pub start_byte: i32,
    pub end_byte: i32,
}

/// Sets the flag when the search is dropped before its thread is done.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Knowledge {
    /// The best passages, best first. Sees every change committed before the call, on whichever node.
    pub async fn search(&self, org: OrgId, query: &Query) -> Result<Vec<Hit>> {
        query.check(&self.config)?;
        let started = Instant::now();
        let hits = self.find(org, query).await;
        let outcome = if hits.is_ok() { "ok" } else { "error" };
        metrics::histogram!("bulkhead_knowledge_search_seconds", "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        hits
    }

    async fn find(&self, org: OrgId, query: &Query) -> Result<Vec<Hit>> {
        let question = Question::new(&query.text, self.config.query_words_max);
        if question.stems.is_empty() {
            return Ok(Vec::new());
        }
        let (mut ranking, mut passages) = self.look(org, &question, query).await?;
        if passages.len() < ranking.candidates.len() {
            // One changed between the two reads: the index knows it by now.
            (ranking, passages) = self.look(org, &question, query).await?;
        }
        Ok(rank(&question, &ranking, passages, query.limit as usize))
    }

    async fn look(
        &self,
        org: OrgId,
        question: &Question,
        query: &Query,
    ) -> Result<(Ranking, Vec<Passage>)> {
        let ranking = self.ranking(org, question, query).await?;
        let ids: Vec<Uuid> = ranking.candidates.iter().map(|found| found.chunk).collect();
        let passages = store::passages(&self.db, org, &ids).await?;
        Ok((ranking, passages))
    }

    /// What the index finds; one that fails is rebuilt once.
    async fn ranking(&self, org: OrgId, question: &Question, query: &Query) -> Result<Ranking> {
        let Some(open) = self.indexes.current(org).await? else {
            return Ok(Ranking::default());
        };
        match self.on_thread(&open, question, query).await? {
            Ok(ranking) => return Ok(ranking),
            Err(error) => self.indexes.discard(org, &open, &error).await,
        }
        let Some(open) = self.indexes.current(org).await? else {
            return Ok(Ranking::default());
        };
        self.on_thread(&open, question, query)
            .await?
            .map_err(|error| {
                Error::unavailable("The search index cannot be read; the host's log says why.")
                    .caused_by(error)
            })
    }

    async fn on_thread(
        &self,
        open: &Arc<OpenIndex>,
        question: &Question,
        query: &Query,
    ) -> Result<Result<Ranking, tantivy::TantivyError>> {
        let permit = Arc::clone(&self.searching)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        let stop = Stop(Arc::default());
        let flag = Arc::clone(&stop.0);
        let (open, question, tags) = (Arc::clone(open), question.clone(), query.tags.clone());
        // More than asked for: reading them may change their order.
        let count = query.limit as usize * 2 + 8;
        let work = self.tasks.spawn_blocking(move || {
            // Held until the thread is free again, not until nobody waits.
            let _permit = permit;
            best(&open, &question, &tags, count, &flag)
        });
        let found = work.await.map_err(Error::internal);
        drop(stop);
        found
    }
}

/// The candidates with their text, in the order a reader would put them.
fn rank(question: &Question, ranking: &Ranking, passages: Vec<Passage>, limit: usize) -> Vec<Hit> {
    let found = ranking.candidates.iter();
    let scores: HashMap<Uuid, f32> = found.map(|found| (found.chunk, found.score)).collect();
    let asked = Asked {
        question,
        weights: &ranking.weights,
    };
    let mut analyzer = analyzer();
    let mut hits: Vec<Hit> = passages
        .into_iter()
        .map(|passage| {
            let reading = asked.read(&passage, &mut analyzer);
            let score = scores.get(&passage.chunk.0).copied().unwrap_or_default();
            hit(passage, reading, score)
        })
        .collect();
    support(&mut hits);
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
    hits.truncate(limit);
    hits
}

/// A passage gains from others of its entry that match as well: the entry is about what was asked.
fn support(hits: &mut [Hit]) {
    let mut totals: HashMap<EntryId, f64> = HashMap::new();
    for hit in hits.iter() {
        *totals.entry(hit.entry).or_default() += hit.score;
    }
    for hit in hits {
        let others = totals.get(&hit.entry).copied().unwrap_or_default() - hit.score;
        let gain = SUPPORT * others.min(hit.score);
        // Four decimals are exact through JSON, so a recorded answer replays to the bit.
        hit.score = ((hit.score + gain) * 1e4).round() / 1e4;
    }
}

fn hit(passage: Passage, reading: Reading, score: f32) -> Hit {
    let (start, end) = reading.snippet;
    // Offsets of an entry of at most 2 GiB, which PostgreSQL bounds at 1 GiB.
    let offset = |bytes: usize| passage.start_byte + i32::try_from(bytes).unwrap_or(i32::MAX);
    Hit {
        snippet: Snippet {
            text: passage.content[start..end].to_owned(),
            start_byte: offset(start),
            end_byte: offset(end),
        },
        chunk: passage.chunk,
        entry: passage.entry,
        title: passage.title,
        heading: passage.heading,
        source: passage.source,
        score: f64::from(score) * reading.boost,
        start_byte: passage.start_byte,
        end_byte: passage.end_byte,
        text: passage.content,
    }
}
