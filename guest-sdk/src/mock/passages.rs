//! Knowledge in memory: passages scored by how many of the question's words they hold, which is enough for a test.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::knowledge::{Hit, Query};

#[derive(Clone, Debug, Default)]
pub(super) struct Passages {
    entries: Vec<(String, String)>,
    error: Option<Error>,
}

impl Passages {
    pub(super) fn add(&mut self, title: &str, text: &str) {
        self.entries.push((title.to_owned(), text.to_owned()));
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.error = Some(error);
    }

    pub(super) fn search(&self, query: &Query) -> Result<Vec<Hit>> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let wanted = words(&query.text);
        let mut hits: Vec<Hit> = (1..)
            .zip(&self.entries)
            .map(|(number, (title, text))| Hit {
                handle: format!("hit-{number}"),
                title: title.clone(),
                heading: String::new(),
                text: text.clone(),
                score: score(&wanted, &words(&format!("{title} {text}"))),
            })
            .filter(|hit| hit.score > 0.0)
            .collect();
        hits.sort_by(|one, other| other.score.total_cmp(&one.score));
        hits.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        Ok(hits)
    }
}

fn score(wanted: &HashSet<String>, held: &HashSet<String>) -> f64 {
    let shared = wanted.intersection(held).count();
    u32::try_from(shared).map_or(f64::MAX, f64::from)
}

/// The words of more than two letters, in small letters.
fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 2)
        .map(str::to_lowercase)
        .collect()
}
