//! What still stands in a log: what was said, without what was withdrawn.

use super::Stored;

/// All text that stands in a log.
pub fn text_of(said: &[Stored]) -> String {
    standing(said).iter().filter_map(Stored::text).collect()
}

/// What is to be said again: the first event is the host's, and what was withdrawn is void.
pub fn standing(said: &[Stored]) -> Vec<Stored> {
    let mut standing: Vec<Stored> = Vec::new();
    for event in said.iter().skip(1) {
        match event.withdraws() {
            Some(from) => standing.retain(|earlier| earlier.seq < from),
            None => standing.push(event.clone()),
        }
    }
    standing
}
