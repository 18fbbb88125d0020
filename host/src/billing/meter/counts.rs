//! What a meter holds: the generations of this life of a run, those that were lost, and those an earlier life was
//! answered and this one has not come to. Each is billed once, whichever life it was of.

use std::collections::BTreeMap;

use super::{Tokens, estimate};

/// A place in the journal, and what answers there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Of {
    pub seq: i32,
    pub connection: String,
    pub model: String,
}

/// What is billed for one place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub of: Of,
    /// Attempts whose answer nobody has any more.
    pub lost: bool,
    pub tokens: Tokens,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Running { input: u64, output_chars: u64 },
    Settled(Tokens),
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    here: BTreeMap<i32, (Of, Count)>,
    before: BTreeMap<i32, (Of, Tokens)>,
    pub(super) lost_before: BTreeMap<i32, Tokens>,
    lost: BTreeMap<i32, Tokens>,
    pub(super) knowledge_queries: u64,
}

impl Count {
    fn tokens(self) -> Tokens {
        match self {
            Self::Settled(tokens) => tokens,
            Self::Running {
                input,
                output_chars,
            } => Tokens {
                input,
                output: estimate(output_chars),
                estimated: true,
                ..Tokens::default()
            },
        }
    }
}

impl Counts {
    pub(super) fn put(&mut self, of: Of, count: Count) {
        self.before.remove(&of.seq);
        self.here.insert(of.seq, (of, count));
    }

    pub(super) fn running(&mut self, seq: i32) -> Option<&mut Count> {
        match self.here.get_mut(&seq) {
            Some((_, count @ Count::Running { .. })) => Some(count),
            _ => None,
        }
    }

    pub(super) fn before(&mut self, of: Of, tokens: Tokens) {
        if !self.here.contains_key(&of.seq) {
            self.before.insert(of.seq, (of, tokens));
        }
    }

    pub(super) fn go_back(&mut self, seq: i32, tokens: Tokens) {
        self.before.retain(|before, _| *before < seq);
        if tokens != Tokens::default() {
            self.lost.entry(seq).or_default().add(tokens);
        }
    }

    pub(super) fn total(&self) -> Tokens {
        let mut total = Tokens::default();
        let here = self.here.values().map(|(_, count)| count.tokens());
        let lost = self.lost_before.values().chain(self.lost.values());
        for tokens in here.chain(lost.copied()) {
            total.add(tokens);
        }
        total
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let here = self.here.values();
        let here = here.map(|(of, count)| (of.clone(), count.tokens()));
        let mut entries: Vec<Entry> = here
            .chain(self.before.values().cloned())
            .map(|(of, tokens)| Entry {
                of,
                lost: false,
                tokens,
            })
            .collect();
        let mut lost = self.lost_before.clone();
        for (seq, tokens) in &self.lost {
            lost.entry(*seq).or_default().add(*tokens);
        }
        lost.retain(|_, tokens| *tokens != Tokens::default());
        for (seq, tokens) in lost {
            // An attempt that is made again was most likely of the same model.
            let again = entries.iter().find(|entry| entry.of.seq == seq);
            let of = again.map_or_else(Of::default, |entry| entry.of.clone());
            entries.push(Entry {
                of: Of { seq, ..of },
                lost: true,
                tokens,
            });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::Meter;
    use super::*;

    fn of(seq: i32) -> Of {
        Of {
            seq,
            connection: "c".into(),
            model: "m".into(),
        }
    }

    fn tokens(input: u64, output: u64) -> Tokens {
        Tokens {
            input,
            output,
            ..Tokens::default()
        }
    }

    #[test]
    fn what_is_not_settled_is_an_estimate() {
        let meter = Meter::new();
        let first = meter.begin(of(1), 10);
        meter.output(first, 5);
        let estimated = |input, output| Tokens {
            estimated: true,
            ..tokens(input, output)
        };
        assert_eq!(meter.total(), estimated(10, 2));
        meter.settle(first, tokens(7, 3));
        meter.output(first, 100);
        meter.settle(first, Tokens::default());
        assert_eq!(meter.total(), tokens(7, 3));
        let also = meter.clone();
        let second = also.begin(of(2), 1);
        also.output(second, 1);
        assert_eq!(meter.total(), estimated(8, 4));
    }

    #[test]
    fn each_generation_of_many_lives_is_billed_once() {
        let meter = Meter::new();
        for _ in 0..2 {
            meter.before(of(1), tokens(1, 1));
            meter.before(of(2), tokens(2, 2));
            meter.before(of(4), tokens(4, 4));
            meter.lost_before(2, tokens(20, 20));
        }
        let billed = |meter: &Meter| {
            let mut sum = Tokens::default();
            for entry in meter.entries() {
                sum.add(entry.tokens);
            }
            sum
        };
        assert_eq!(
            (meter.total(), billed(&meter)),
            (tokens(20, 20), tokens(27, 27))
        );
        meter.again(of(1), tokens(1, 1));
        assert_eq!(
            (meter.total(), billed(&meter)),
            (tokens(21, 21), tokens(27, 27))
        );
        // It goes back to 2: what was answered at 2 and 4 is lost.
        meter.lost(2, tokens(6, 6));
        assert_eq!(
            (meter.total(), billed(&meter)),
            (tokens(27, 27), tokens(27, 27))
        );
        let again = meter.begin(of(2), 3);
        meter.settle(again, tokens(3, 3));
        assert_eq!(
            (meter.total(), billed(&meter)),
            (tokens(30, 30), tokens(30, 30))
        );
        let lost: Vec<_> = meter.entries().into_iter().filter(|e| e.lost).collect();
        assert_eq!(lost.len(), 1);
        assert_eq!(
            (lost[0].tokens, lost[0].of.model.as_str()),
            (tokens(26, 26), "m")
        );
    }
}
