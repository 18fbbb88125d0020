//! A passage held against a question: how well its words stand together, and which part of it to show. Used by
//! `search.rs` on the few candidates BM25 found, so its cost is bounded by them.

use tantivy::tokenizer::{TextAnalyzer, TokenStream as _};

use super::index::Question;
use super::store::Passage;

/// Bytes of a snippet between its first and its last match.
const SPAN_BYTES: usize = 200;
/// Bytes of a snippet with what stands around its matches.
const SNIPPET_BYTES: usize = 280;
/// Words of the question this near to one another in the passage are together.
const NEAR_WORDS: usize = 4;

/// What reading a passage with a question in mind gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// What BM25's score is multiplied with: from 1.
    pub(super) boost: f64,
    /// The part to show: bytes of the passage.
    pub(super) snippet: (usize, usize),
}

/// A word of the passage that the question asks for.
#[derive(Clone, Copy)]
struct Match {
    start: usize,
    end: usize,
    word: usize,
    stem: usize,
}

pub(super) fn read(question: &Question, passage: &Passage, analyzer: &mut TextAnalyzer) -> Reading {
    let body = matches(question, &passage.content, analyzer);
    let above = [
        matches(question, &passage.title, analyzer),
        matches(question, &passage.heading, analyzer),
    ]
    .concat();
    let asked = question.stems.len().max(1) as f64;
    let covered = distinct(body.iter().chain(&above)) as f64 / asked;
    let named = distinct(above.iter()) as f64 / asked;
    let pairs = pairs_together(&body) as f64 / (asked - 1.0).max(1.0);
    Reading {
        boost: 1.0 + 0.5 * covered * covered + 0.25 * named + 0.25 * pairs.min(1.0),
        snippet: snippet(&passage.content, &body),
    }
}

fn matches(question: &Question, text: &str, analyzer: &mut TextAnalyzer) -> Vec<Match> {
    let mut matches = Vec::new();
    let mut tokens = analyzer.token_stream(text);
    while let Some(token) = tokens.next() {
        if let Some(stem) = question.stems.iter().position(|stem| *stem == token.text) {
            matches.push(Match {
                start: token.offset_from,
                end: token.offset_to,
                word: token.position,
                stem,
            });
        }
    }
    matches
}

fn distinct<'a>(matches: impl Iterator<Item = &'a Match>) -> usize {
    let mut stems: Vec<usize> = matches.map(|m| m.stem).collect();
    stems.sort_unstable();
    stems.dedup();
    stems.len()
}

/// How many neighbours of the question stand near one another, in its order, anywhere in the passage.
fn pairs_together(matches: &[Match]) -> usize {
    let mut pairs: Vec<usize> = Vec::new();
    for (place, first) in matches.iter().enumerate() {
        let near = matches[place + 1..]
            .iter()
            .take_while(|second| second.word - first.word <= NEAR_WORDS);
        if near.clone().any(|second| second.stem == first.stem + 1) && !pairs.contains(&first.stem)
        {
            pairs.push(first.stem);
        }
    }
    pairs.len()
}

/// The span with the most of the question in it, widened to whole words up to `SNIPPET_BYTES`.
fn snippet(text: &str, matches: &[Match]) -> (usize, usize) {
    let mut best = (0, 0, 0);
    for (place, first) in matches.iter().enumerate() {
        let within = matches[place..]
            .iter()
            .take_while(|m| m.end - first.start <= SPAN_BYTES);
        let count = distinct(within.clone());
        if count > best.0 {
            best = (
                count,
                first.start,
                within.last().map_or(first.end, |m| m.end),
            );
        }
    }
    let (_, start, end) = best;
    let around = SNIPPET_BYTES.saturating_sub(end - start);
    let start = text.ceil_char_boundary(start.saturating_sub(around / 4));
    let end = text.floor_char_boundary((start + SNIPPET_BYTES).min(text.len()).max(end));
    (word_start(text, start, best.1), word_end(text, end, best.2))
}

/// The first whole word at or after `at`, but not after `limit`.
fn word_start(text: &str, at: usize, limit: usize) -> usize {
    if at == 0 {
        return 0;
    }
    let skip = text[at..limit.max(at)].find(char::is_whitespace);
    skip.map_or(at, |skip| text.len() - text[at + skip..].trim_start().len())
        .min(limit)
}

/// The last whole word at or before `at`, but not before `limit`.
fn word_end(text: &str, at: usize, limit: usize) -> usize {
    if at == text.len() {
        return at;
    }
    let blank = text[limit.min(at)..at].rfind(char::is_whitespace);
    blank.map_or(at, |blank| limit.min(at) + blank)
}
