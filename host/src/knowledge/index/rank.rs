//! The best chunks of one index by BM25. Runs on a blocking thread and looks at a stop flag, so that a search nobody
//! waits for ends early.

use std::sync::atomic::{AtomicBool, Ordering};

use tantivy::query::{BooleanQuery, ConstScoreQuery, EnableScoring, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Score, Searcher, TantivyError, Term};
use uuid::Uuid;

use super::{OpenIndex, Question};

/// A chunk that matched.
#[derive(Clone, Copy, Debug)]
pub(in crate::knowledge) struct Candidate {
    pub(in crate::knowledge) chunk: Uuid,
    pub(in crate::knowledge) score: Score,
}

/// What a search of the index gives.
#[derive(Debug, Default)]
pub(in crate::knowledge) struct Ranking {
    /// Best first.
    pub(in crate::knowledge) candidates: Vec<Candidate>,
    /// For each of the question's stems, how much it tells: the rarer, the more.
    pub(in crate::knowledge) weights: Vec<f64>,
}

/// The `count` best, best first. With `stop` set, what was found until then.
pub(in crate::knowledge) fn best(
    open: &OpenIndex,
    question: &Question,
    tags: &[String],
    count: usize,
    stop: &AtomicBool,
) -> Result<Ranking, TantivyError> {
    let searcher = open.reader.searcher();
    let weight =
        query(open, question, tags).weight(EnableScoring::enabled_from_searcher(&searcher))?;
    let mut top = Top::new(count);
    for (place, segment) in searcher.segment_readers().iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let alive = segment.alive_bitset();
        weight.for_each_pruning(top.threshold(), segment, &mut |doc, score| {
            if stop.load(Ordering::Relaxed) {
                // Nothing can pass this threshold, so the segment ends here.
                return Score::MAX;
            }
            if alive.is_none_or(|alive| alive.is_alive(doc)) {
                top.push(Found { score, place, doc });
            }
            top.threshold()
        })?;
    }
    let mut candidates = Vec::with_capacity(top.found.len());
    for Found { score, place, doc } in top.found {
        let columns = searcher.segment_reader(place as u32).fast_fields();
        let half = |field: Field| -> Result<u64, TantivyError> {
            let name = searcher.schema().get_field_name(field);
            let column = columns.u64(name)?;
            column
                .first(doc)
                .ok_or_else(|| TantivyError::SystemError("a chunk has no id".into()))
        };
        let [high, low] = open.fields.chunk;
        let chunk = Uuid::from_u64_pair(half(high)?, half(low)?);
        candidates.push(Candidate { chunk, score });
    }
    Ok(Ranking {
        candidates,
        weights: weights(open, question, &searcher)?,
    })
}

/// As BM25 counts: over all chunks of the index, deleted ones included until their segment is merged.
fn weights(
    open: &OpenIndex,
    question: &Question,
    searcher: &Searcher,
) -> Result<Vec<f64>, TantivyError> {
    let readers = searcher.segment_readers().iter();
    let chunks: f64 = readers.map(|reader| f64::from(reader.max_doc())).sum();
    let weight = |stem: &String| {
        let term = Term::from_field_text(open.fields.text, stem);
        let with = searcher.doc_freq(&term)? as f64;
        Ok((1.0 + (chunks - with + 0.5) / (with + 0.5)).ln())
    };
    question.stems.iter().map(weight).collect()
}

/// Any of the question's words; where tags are asked for, all of them, without weight.
fn query(open: &OpenIndex, question: &Question, tags: &[String]) -> BooleanQuery {
    let words = question.stems.iter().map(|stem| {
        let term = Term::from_field_text(open.fields.text, stem);
        let query: Box<dyn Query> = Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
        (Occur::Should, query)
    });
    let words = BooleanQuery::new(words.collect());
    if tags.is_empty() {
        return words;
    }
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Must, Box::new(words))];
    for tag in tags {
        let term = Term::from_field_text(open.fields.tag, tag);
        let query = TermQuery::new(term, IndexRecordOption::Basic);
        clauses.push((
            Occur::Must,
            Box::new(ConstScoreQuery::new(Box::new(query), 0.0)),
        ));
    }
    BooleanQuery::new(clauses)
}

#[derive(Clone, Copy)]
struct Found {
    score: Score,
    place: usize,
    doc: u32,
}

/// The best so far, best first; among equals the earlier.
struct Top {
    found: Vec<Found>,
    count: usize,
}

impl Top {
    fn new(count: usize) -> Self {
        Self {
            found: Vec::with_capacity(count + 1),
            count,
        }
    }

    fn push(&mut self, new: Found) {
        let place = self.found.partition_point(|old| old.score >= new.score);
        self.found.insert(place, new);
        self.found.truncate(self.count);
    }

    fn threshold(&self) -> Score {
        match self.found.last() {
            Some(last) if self.found.len() == self.count => last.score,
            _ => Score::MIN,
        }
    }
}
