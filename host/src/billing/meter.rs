//! A run's tokens, counted as they are received: whatever ends the run, and whenever, the count stands. A generation
//! whose provider gave no count yet is an estimate, and says so. Each generation is counted under its place in the
//! journal, so that a run of many lives counts each once.

mod counts;

use std::sync::{Arc, Mutex, MutexGuard};

use self::counts::{Count, Counts};

pub use self::counts::{Entry, Of};

/// How searches are called in the journal.
pub const KNOWLEDGE: &str = "knowledge.search";

/// What a run has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    /// Of the input, what the provider had in its cache.
    pub cached: u64,
    /// Of the output, what was thought and not said.
    pub reasoning: u64,
    /// A provider gave no count for a part of it.
    pub estimated: bool,
}

/// One generation of a meter: its place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(i32);

/// Counts one run's tokens. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Counts>>);

impl Tokens {
    pub fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cached = self.cached.saturating_add(other.cached);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.estimated |= other.estimated;
    }
}

impl Meter {
    pub fn new() -> Self {
        Self::default()
    }

    /// A generation starts; until it is settled its input counts as `input_estimate` tokens.
    pub fn begin(&self, of: Of, input_estimate: u64) -> Generation {
        let running = Count::Running {
            input: input_estimate,
            output_chars: 0,
        };
        let seq = of.seq;
        self.counts().put(of, running);
        Generation(seq)
    }

    /// The generation brought `chars` more characters.
    pub fn output(&self, generation: Generation, chars: u64) {
        if let Some(Count::Running { output_chars, .. }) = self.counts().running(generation.0) {
            *output_chars += chars;
        }
    }

    /// The generation's final count. The first one stands.
    pub fn settle(&self, generation: Generation, tokens: Tokens) {
        if let Some(count) = self.counts().running(generation.0) {
            *count = Count::Settled(tokens);
        }
    }

    /// What an earlier life of the run was answered, and this one is answered again.
    pub fn again(&self, of: Of, tokens: Tokens) {
        self.counts().put(of, Count::Settled(tokens));
    }

    /// What an earlier life was answered and this one may not come to. It is billed all the same, and no part of `total`.
    pub fn before(&self, of: Of, tokens: Tokens) {
        self.counts().before(of, tokens);
    }

    /// Attempts that were lost before this life began. Said twice, it counts once.
    pub fn lost_before(&self, seq: i32, tokens: Tokens) {
        self.counts().lost_before.insert(seq, tokens);
    }

    /// The run goes back to `seq`: what it was answered there and later is not answered again, and what is lost with it counts.
    pub fn lost(&self, seq: i32, tokens: Tokens) {
        self.counts().go_back(seq, tokens);
    }

    /// The run asked something of this kind; its answer may be recorded.
    pub fn called(&self, kind: &str) {
        if kind == KNOWLEDGE {
            self.counts().knowledge_queries += 1;
        }
    }

    /// How often this life of the run asked the knowledge.
    pub fn knowledge_queries(&self) -> u64 {
        self.counts().knowledge_queries
    }

    /// Everything so far.
    pub fn total(&self) -> Tokens {
        self.counts().total()
    }

    /// Everything that is billed, each generation for itself, lost ones apart.
    pub fn entries(&self) -> Vec<Entry> {
        self.counts().entries()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Every change is one assignment, so a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Tokens in a text of so many characters, where nobody counted: four characters each, rounded up.
pub fn estimate(chars: u64) -> u64 {
    chars.div_ceil(4)
}
