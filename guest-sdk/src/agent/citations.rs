//! Finds `[1]`, also as `[1, 2]` and also split across chunks, in text that streams by, and turns each number into
//! the citation of its passage. The agent loop asks. Invariant: a number is cited once, and only if it has a passage.

use crate::knowledge::Hit;
use crate::output::Citation;

/// The longest marker looked for; what is longer is prose in brackets.
const MARKER_BYTES: usize = 40;

pub(super) struct Citations<'a> {
    hits: &'a [Hit],
    cited: Vec<bool>,
    /// What stands after an open bracket; `None` outside brackets.
    open: Option<String>,
}

impl<'a> Citations<'a> {
    pub(super) fn of(hits: &'a [Hit]) -> Self {
        Self {
            hits,
            cited: vec![false; hits.len()],
            open: None,
        }
    }

    /// Forgets an unfinished marker: another generation begins.
    pub(super) fn restart(&mut self) {
        self.open = None;
    }

    /// The passages whose first marker this piece of text completes, in order.
    pub(super) fn completed_by(&mut self, delta: &str) -> Vec<Citation> {
        let mut citations = Vec::new();
        for character in delta.chars() {
            match (character, &mut self.open) {
                ('[', open) => *open = Some(String::new()),
                (']', open) => {
                    if let Some(marker) = open.take() {
                        self.cite(&marker, &mut citations);
                    }
                }
                ('0'..='9' | ',' | ' ', Some(marker)) if marker.len() < MARKER_BYTES => {
                    marker.push(character);
                }
                (_, open) => *open = None,
            }
        }
        citations
    }

    fn cite(&mut self, marker: &str, citations: &mut Vec<Citation>) {
        for number in marker
            .split([',', ' '])
            .filter_map(|number| number.parse::<u32>().ok())
        {
            let Some(index) = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)) else {
                continue;
            };
            if let (Some(hit), Some(cited @ false)) =
                (self.hits.get(index), self.cited.get_mut(index))
            {
                *cited = true;
                citations.push(Citation::new(&hit.handle, number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &[&[u32]]) {
        let hit = |n: u32| Hit {
            handle: format!("hit-{n}"),
            title: String::new(),
            heading: String::new(),
            text: String::new(),
            score: 1.0,
        };
        let hits = [hit(1), hit(2), hit(3)];
        let mut citations = Citations::of(&hits);
        let numbers: Vec<Vec<u32>> = chunks
            .iter()
            .map(|chunk| {
                citations
                    .completed_by(chunk)
                    .iter()
                    .map(|c| c.number)
                    .collect()
            })
            .collect();
        assert_eq!(numbers, expected, "{chunks:?}");
    }

    #[test]
    fn a_marker_is_cited_once_where_it_is_completed() {
        check(&["Stop it [1]. Then [2], again [1]."], &[&[1, 2]]);
        check(&["Stop [", "1", "] now [1", "]"], &[&[], &[], &[1], &[]]);
        check(&["a [1, 3][2]"], &[&[1, 3, 2]]);
        check(&["é[1]ü"], &[&[1]]);
        check(&["[[2]]"], &[&[2]]);
    }

    #[test]
    fn what_is_no_marker_is_not_cited() {
        check(
            &["[0] [4] [99999999999] [] [a1] [1a] 1] [1", ")"],
            &[&[], &[]],
        );
        check(&["see [the first] [-1] [1.5]"], &[&[]]);
    }

    #[test]
    fn an_unfinished_marker_does_not_reach_into_the_next_generation() {
        let hits: [Hit; 0] = [];
        let mut citations = Citations::of(&hits);
        citations.completed_by("[1");
        citations.restart();
        assert_eq!(citations.open, None);
    }
}
