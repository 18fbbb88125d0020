//! A run's tokens, counted as they are received: whatever ends the run, and whenever, the count stands. A generation
//! whose provider gave no count yet is an estimate, and says so.

use std::sync::{Arc, Mutex, MutexGuard};

/// What a run has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    /// A provider gave no count for a part of it.
    pub estimated: bool,
}

/// One generation of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(usize);

/// Counts one run's tokens. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Vec<Count>>>);

#[derive(Clone, Copy, Debug)]
enum Count {
    Running { input: u64, output_chars: u64 },
    Settled(Tokens),
}

impl Meter {
    pub fn new() -> Self {
        Self::default()
    }

    /// A generation starts; until it is settled its input counts as `input_estimate` tokens.
    pub fn begin(&self, input_estimate: u64) -> Generation {
        let mut counts = self.counts();
        counts.push(Count::Running {
            input: input_estimate,
            output_chars: 0,
        });
        Generation(counts.len() - 1)
    }

    /// The generation brought `chars` more characters.
    pub fn output(&self, generation: Generation, chars: u64) {
        if let Some(Count::Running { output_chars, .. }) = self.counts().get_mut(generation.0) {
            *output_chars += chars;
        }
    }

    /// The generation's final count. The first one stands.
    pub fn settle(&self, generation: Generation, tokens: Tokens) {
        if let Some(count @ Count::Running { .. }) = self.counts().get_mut(generation.0) {
            *count = Count::Settled(tokens);
        }
    }

    /// Everything so far.
    pub fn total(&self) -> Tokens {
        let mut total = Tokens::default();
        for count in self.counts().iter() {
            let tokens = match *count {
                Count::Settled(tokens) => tokens,
                Count::Running {
                    input,
                    output_chars,
                } => Tokens {
                    input,
                    output: estimate(output_chars),
                    estimated: true,
                },
            };
            total.input = total.input.saturating_add(tokens.input);
            total.output = total.output.saturating_add(tokens.output);
            total.estimated |= tokens.estimated;
        }
        total
    }

    fn counts(&self) -> MutexGuard<'_, Vec<Count>> {
        // Every change is one assignment, so a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Tokens in a text of so many characters, where nobody counted: four characters each, rounded up.
pub fn estimate(chars: u64) -> u64 {
    chars.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_settled_is_an_estimate() {
        let meter = Meter::new();
        let first = meter.begin(10);
        meter.output(first, 5);
        let counted = Tokens {
            input: 7,
            output: 3,
            estimated: false,
        };
        assert_eq!(
            meter.total(),
            Tokens {
                input: 10,
                output: 2,
                estimated: true
            }
        );
        meter.settle(first, counted);
        meter.output(first, 100);
        meter.settle(first, Tokens::default());
        assert_eq!(meter.total(), counted);
        let also = meter.clone();
        let second = also.begin(1);
        also.output(second, 1);
        assert_eq!(
            meter.total(),
            Tokens {
                input: 8,
                output: 4,
                estimated: true
            }
        );
    }
}
