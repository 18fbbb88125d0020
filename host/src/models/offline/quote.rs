//! Picks what to quote: units that hold the question's rarer words, or stand under a heading or beside a sentence
//! that does. Few, not alike, in the order of their passages. Deterministic.

use std::fmt;

use super::sentences::{self, Unit};
use super::terms::{are_alike, terms};
use crate::models::chat::Passage;

const QUOTES_MAX: usize = 5;
const TEXT_CHARS_MAX: usize = 1_200;
const CODES_MAX: usize = 2;
/// Of the question's terms, what one passage must speak of to be an answer to it.
const COVERAGE_MIN: f64 = 0.34;
/// Of the best unit's score, what another one needs to stand beside it.
const SCORE_MIN: f64 = 0.6;
/// Of a unit's terms, what another one may share with it: more would say the same twice.
const SHARED_MAX: f64 = 0.6;

/// First words of sentences that lean on what stands before them.
const LEANING: &[&str] = &[
    "It", "They", "This", "That", "These", "Those", "But", "So", "Then", "No,", "Yes,", "Or",
];

/// A unit that is quoted.
#[derive(Clone, Debug)]
pub(super) struct Quote {
    number: u32,
    passage: usize,
    place: usize,
    unit: Unit,
}

impl Quote {
    /// What stands between the quote before and this one.
    pub(super) fn gap(&self, before: Option<&Self>) -> &'static str {
        let Some(before) = before else {
            return if self.unit.is_item { "- " } else { "" };
        };
        let is_apart = before.passage != self.passage || before.unit.code.is_some();
        match (before.unit.is_item, self.unit.is_item) {
            (true, true) if !is_apart => "\n- ",
            (_, true) => "\n\n- ",
            (false, false) if !is_apart => " ",
            (_, false) => "\n\n",
        }
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.unit.text, self.number)?;
        match &self.unit.code {
            Some(code) => write!(f, "\n\n{code}"),
            None => Ok(()),
        }
    }
}

struct Candidate {
    quote: Quote,
    terms: Vec<String>,
    /// How well its own words fit, then with its surroundings.
    own: f64,
    score: f64,
}

/// The quotes that answer `question`, in reading order; none where nothing fits.
pub(super) fn pick(question: &str, passages: &[&Passage]) -> Vec<Quote> {
    let mut wanted = terms(question);
    wanted.sort_unstable();
    wanted.dedup();
    let mut candidates = candidates(passages);
    if wanted.is_empty() || candidates.is_empty() || coverage(&wanted, passages) < COVERAGE_MIN {
        return Vec::new();
    }
    score(&wanted, is_how(question), passages, &mut candidates);
    let mut by_score: Vec<usize> = (0..candidates.len()).collect();
    by_score.sort_by(|&a, &b| candidates[b].score.total_cmp(&candidates[a].score));
    let best = candidates[by_score[0]].score;
    if best <= 0.0 {
        return Vec::new();
    }
    by_score.retain(|&index| candidates[index].score >= best * SCORE_MIN);
    in_order(&candidates, &select(&candidates, &by_score))
}

fn candidates(passages: &[&Passage]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (passage, source) in passages.iter().enumerate() {
        for (place, unit) in sentences::units(&source.text).into_iter().enumerate() {
            found.push(Candidate {
                terms: terms(&unit.text),
                quote: Quote {
                    number: source.number,
                    passage,
                    place,
                    unit,
                },
                own: 0.0,
                score: 0.0,
            });
        }
    }
    found
}

/// How much of the question the passage that speaks of most of it speaks of.
fn coverage(wanted: &[String], passages: &[&Passage]) -> f64 {
    let of = |passage: &&Passage| {
        let mut there = terms(&passage.title);
        there.extend(terms(&passage.text));
        let met = wanted.iter().filter(|term| fit(term, &there) > 0.0).count();
        met as f64 / wanted.len() as f64
    };
    passages.iter().map(of).fold(0.0, f64::max)
}

fn score(wanted: &[String], is_how: bool, passages: &[&Passage], candidates: &mut [Candidate]) {
    let all = candidates.len() as f64;
    let weights: Vec<f64> = wanted
        .iter()
        .map(|term| {
            let holding = candidates
                .iter()
                .filter(|unit| fit(term, &unit.terms) > 0.0)
                .count();
            (1.0 + all / (1.0 + holding as f64)).ln()
        })
        .collect();
    let sum = |terms: &[String]| -> f64 {
        let fits = wanted
            .iter()
            .zip(&weights)
            .map(|(term, weight)| weight * fit(term, terms));
        fits.sum()
    };
    for candidate in candidates.iter_mut() {
        candidate.own = sum(&candidate.terms);
    }
    // A passage that speaks of the whole question is a better source than one with its rarest word.
    let whole: f64 = weights.iter().sum();
    let covered: Vec<f64> = passages
        .iter()
        .map(|passage| sum(&terms(&format!("{} {}", passage.title, passage.text))) / whole)
        .collect();
    let titles: Vec<f64> = passages
        .iter()
        .map(|passage| sum(&terms(&passage.title)))
        .collect();
    for index in 0..candidates.len() {
        let beside = [index.checked_sub(1), Some(index + 1)]
            .into_iter()
            .flatten();
        let beside = beside
            .filter_map(|other| candidates.get(other))
            .filter(|other| other.quote.passage == candidates[index].quote.passage)
            .map(|other| other.own)
            .fold(0.0, f64::max);
        let candidate = &mut candidates[index];
        let heading =
            sum(&terms(&candidate.quote.unit.heading)).max(titles[candidate.quote.passage]);
        let plain = candidate.own + 0.6 * heading + 0.25 * beside;
        let passage = candidate.quote.passage;
        candidate.score = plain
            * form(&candidate.quote.unit, candidate.terms.len(), is_how)
            * (0.4 + 0.6 * covered[passage])
            // Passages come best first.
            * (1.0 - 0.05 * passage.min(8) as f64);
    }
}

/// How fit a unit's form is to be quoted alone.
fn form(unit: &Unit, terms: usize, is_how: bool) -> f64 {
    let mut factor = 1.0;
    if terms < 3 && unit.code.is_none() {
        factor *= 0.6;
    }
    if unit.is_first {
        factor *= 1.15;
    }
    if terms > 30 {
        factor *= 0.8;
    }
    let first = unit.text.split(' ').next().unwrap_or_default();
    // Said of something before it, or to another question.
    if LEANING.contains(&first) {
        factor *= 0.8;
    }
    // Who asks how wants what to type.
    if is_how && (unit.code.is_some() || unit.text.contains('`')) {
        factor *= 1.3;
    }
    if unit.text.ends_with('?') {
        factor *= 0.5;
    }
    factor
}

/// How well a term fits a text: as itself, as the beginning of one, or by a word that stands for it.
fn fit(term: &str, terms: &[String]) -> f64 {
    let one = |other: &String| {
        let is_beginning = |a: &str, b: &str| a.len() >= 4 && b.starts_with(a);
        match other {
            _ if other == term => 1.0,
            _ if is_beginning(term, other) || is_beginning(other, term) => 0.7,
            _ if are_alike(term, other) => 0.6,
            _ => 0.0,
        }
    };
    terms.iter().map(one).fold(0.0, f64::max)
}

fn is_how(question: &str) -> bool {
    let mut words = question.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case("how") || word.eq_ignore_ascii_case("command"))
}

/// The best, each as long as it says something more; what a colon announces comes along; never one sentence alone
/// where its passage goes on.
fn select(candidates: &[Candidate], by_score: &[usize]) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    for &index in by_score {
        if chosen
            .iter()
            .any(|&other| shared(&candidates[index], &candidates[other]) > SHARED_MAX)
        {
            continue;
        }
        take(candidates, &mut chosen, index);
        let announces = |unit: &Unit| unit.text.ends_with(':') && unit.code.is_none();
        if announces(&candidates[index].quote.unit) {
            let items = (index + 1..candidates.len()).take_while(|&next| {
                candidates[next].quote.unit.is_item && are_near(candidates, index, next)
            });
            items.for_each(|item| take(candidates, &mut chosen, item));
        }
    }
    if let [only] = chosen[..] {
        let beside = [only + 1, only.wrapping_sub(1)];
        let near = beside
            .into_iter()
            .find(|&other| other < candidates.len() && are_near(candidates, only, other));
        near.into_iter()
            .for_each(|other| take(candidates, &mut chosen, other));
    }
    chosen
}

fn are_near(candidates: &[Candidate], one: usize, other: usize) -> bool {
    let (one, other) = (&candidates[one].quote, &candidates[other].quote);
    one.passage == other.passage && one.unit.heading == other.unit.heading
}

/// Adds a unit where there is room for it.
fn take(candidates: &[Candidate], chosen: &mut Vec<usize>, index: usize) {
    let chars = |index: usize| candidates[index].quote.unit.text.chars().count();
    let written: usize = chosen.iter().map(|&index| chars(index)).sum();
    let has_room = chosen.len() < QUOTES_MAX
        && (chosen.is_empty() || written + chars(index) <= TEXT_CHARS_MAX);
    if has_room && !chosen.contains(&index) {
        chosen.push(index);
    }
}

/// Of the shorter one's terms, the part the other has too.
fn shared(one: &Candidate, other: &Candidate) -> f64 {
    let (short, long) = match one.terms.len() <= other.terms.len() {
        true => (&one.terms, &other.terms),
        false => (&other.terms, &one.terms),
    };
    let both = short.iter().filter(|term| long.contains(term)).count();
    both as f64 / short.len().max(1) as f64
}

/// Passage by passage, the one with the best unit first; within it as it is written.
fn in_order(candidates: &[Candidate], chosen: &[usize]) -> Vec<Quote> {
    let best_of = |passage: usize| {
        let of = chosen
            .iter()
            .filter(|&&index| candidates[index].quote.passage == passage);
        of.map(|&index| candidates[index].score).fold(0.0, f64::max)
    };
    let mut quotes: Vec<Quote> = chosen
        .iter()
        .map(|&index| candidates[index].quote.clone())
        .collect();
    quotes.sort_by(|a, b| {
        best_of(b.passage)
            .total_cmp(&best_of(a.passage))
            .then(a.passage.cmp(&b.passage))
            .then(a.place.cmp(&b.place))
    });
    let mut codes = 0;
    for quote in &mut quotes {
        codes += usize::from(quote.unit.code.is_some());
        if codes > CODES_MAX {
            quote.unit.code = None;
        }
    }
    quotes
}
