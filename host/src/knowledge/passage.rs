//! A passage held against a question: how well it answers by where the question's words stand, and which part of it
//! to show. Used by `search.rs` on the few candidates BM25 found, so its cost is bounded by them.

use tantivy::tokenizer::{TextAnalyzer, TokenStream as _};

use super::index::Question;
use super::store::Passage;

/// Bytes of a snippet between its first and its last match.
const SPAN_BYTES: usize = 200;
/// Bytes of a snippet with what stands around its matches.
const SNIPPET_BYTES: usize = 280;
/// Words of the question this near to one another in the passage are together.
const NEAR_WORDS: usize = 4;

/// What BM25's score gains at most: where all of the question is in the passage, in its title or heading, together.
/// Measured on questions about a handbook (`tests/it/knowledge.rs`).
const COVERED: f64 = 0.5;
const NAMED: f64 = 0.5;
const TOGETHER: f64 = 0.25;

/// A question with how much each of its stems tells.
pub(super) struct Asked<'a> {
    pub(super) question: &'a Question,
    pub(super) weights: &'a [f64],
}

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

impl Asked<'_> {
    pub(super) fn read(&self, passage: &Passage, analyzer: &mut TextAnalyzer) -> Reading {
        let body = self.matches(&passage.content, analyzer);
        let mut named = self.matches(&passage.title, analyzer);
        named.extend(self.matches(&passage.heading, analyzer));
        let covered = self.share(body.iter().chain(&named));
        let named = self.share(named.iter());
        let neighbours = self.question.stems.len().saturating_sub(1).max(1);
        let together = pairs_together(&body) as f64 / neighbours as f64;
        Reading {
            boost: 1.0 + COVERED * covered * covered + NAMED * named * named + TOGETHER * together,
            snippet: snippet(&passage.content, &body),
        }
    }

    fn matches(&self, text: &str, analyzer: &mut TextAnalyzer) -> Vec<Match> {
        let mut matches = Vec::new();
        let mut tokens = analyzer.token_stream(text);
        while let Some(token) = tokens.next() {
            let asked = self.question.stems.iter();
            if let Some(stem) = asked.into_iter().position(|stem| *stem == token.text) {
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

    /// How much of what the question tells is among the matches: 0 to 1.
    fn share<'m>(&self, matches: impl Iterator<Item = &'m Match>) -> f64 {
        let found: f64 = stems(matches).iter().map(|stem| self.weights[*stem]).sum();
        let all: f64 = self.weights.iter().sum();
        if all > 0.0 { found / all } else { 0.0 }
    }
}

fn stems<'a>(matches: impl Iterator<Item = &'a Match>) -> Vec<usize> {
    let mut stems: Vec<usize> = matches.map(|m| m.stem).collect();
    stems.sort_unstable();
    stems.dedup();
    stems
}

/// How many neighbours of the question stand near one another, in its order, anywhere in the passage.
fn pairs_together(matches: &[Match]) -> usize {
    let mut pairs: Vec<usize> = Vec::new();
    for (place, first) in matches.iter().enumerate() {
        let mut near = matches[place + 1..]
            .iter()
            .take_while(|second| second.word - first.word <= NEAR_WORDS);
        if near.any(|second| second.stem == first.stem + 1) && !pairs.contains(&first.stem) {
            pairs.push(first.stem);
        }
    }
    pairs.len()
}

/// The span with the most of the question in it, widened to whole words up to `SNIPPET_BYTES`.
fn snippet(text: &str, matches: &[Match]) -> (usize, usize) {
    let mut best = (0, 0, 0);
    // One pass: a span moves along the matches and knows how often each stem is in it.
    let mut within: Vec<usize> = Vec::new();
    let (mut from, mut count) = (0, 0);
    for last in matches {
        within.resize(within.len().max(last.stem + 1), 0);
        count += usize::from(within[last.stem] == 0);
        within[last.stem] += 1;
        while last.end - matches[from].start > SPAN_BYTES {
            let left = matches[from].stem;
            within[left] -= 1;
            count -= usize::from(within[left] == 0);
            from += 1;
        }
        if count > best.0 {
            best = (count, matches[from].start, last.end);
        }
    }
    let (_, first, last) = best;
    let around = SNIPPET_BYTES.saturating_sub(last - first);
    let start = text.ceil_char_boundary(first.saturating_sub(around / 4));
    let end = (start + SNIPPET_BYTES).max(last).min(text.len());
    let end = text.floor_char_boundary(end);
    (word_start(text, start, first), word_end(text, end, last))
}

/// The start of the first whole word at or after `at`, but not after `limit`.
fn word_start(text: &str, at: usize, limit: usize) -> usize {
    if at == 0 || at >= limit {
        return at.min(limit);
    }
    match text[at..limit].find(char::is_whitespace) {
        Some(skip) => (text.len() - text[at + skip..].trim_start().len()).min(limit),
        None => at,
    }
}

/// The end of the last whole word at or before `at`, but not before `limit`.
fn word_end(text: &str, at: usize, limit: usize) -> usize {
    if at == text.len() || at <= limit {
        return at.max(limit);
    }
    match text[limit..at].rfind(char::is_whitespace) {
        Some(blank) => limit + blank,
        None => at,
    }
}
