//! The dice of a round: everything that is left to chance grows from the round's seed, each actor from a branch of its
//! own, so that the order in which they run decides nothing.

use std::time::Duration;

/// A stream of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers of one actor.
    pub fn branch(&self, name: &str, number: usize) -> Self {
        let mut branch = Self(self.0 ^ (number as u64).wrapping_mul(0xA076_1D64_78BD_642F));
        for byte in name.bytes() {
            branch.0 = branch.next() ^ u64::from(byte);
        }
        branch
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "a number, and there is always one more"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        (self.next() % length.max(1) as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn often(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }
}
