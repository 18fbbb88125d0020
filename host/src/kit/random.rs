//! Randomness, injected: the system's in a host, a seeded generator in tests.

use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

/// Where random bytes come from: the system's generator in a host, a seeded one in tests.
#[derive(Clone, Debug)]
pub struct Random(Option<Arc<Mutex<ChaCha20Rng>>>);

impl Random {
    pub fn system() -> Self {
        Self(None)
    }

    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))))
    }

    /// Random bytes fit for keys (from a system source).
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            None => getrandom::fill(&mut bytes).expect("the system has a source of randomness"),
            Some(rng) => rng
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .fill_bytes(&mut bytes),
        }
        bytes
    }
}
