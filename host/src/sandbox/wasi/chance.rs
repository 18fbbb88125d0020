//! A run's randomness: grown from its seed, so that the same seed gives the same bytes, and counted as bytes that
//! cross.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::Rng as _;
use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::random::random;

use crate::sandbox::host::Host;

pub(super) struct View<'a>(pub(super) &'a mut Host);

pub(super) struct HasChance;

impl HasData for HasChance {
    type Data<'a> = View<'a>;
}

/// What a store keeps of it.
pub(in crate::sandbox) struct Chance {
    pub(super) random: ChaCha20Rng,
    pub(super) bytes_per_call: u64,
}

impl random::Host for View<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let most = self.0.chance.bytes_per_call;
        let bytes = usize::try_from(len).ok().filter(|_| len <= most);
        let Some(bytes) = bytes else {
            let what =
                format!("requested len {len} exceeds limit {most} (`random_bytes_per_call`)");
            return Err(wasmtime::Error::msg(what));
        };
        self.0.meter().carry(bytes);
        let mut random = vec![0; bytes];
        self.0.chance.random.fill_bytes(&mut random);
        Ok(random)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.0.meter().carry(8);
        Ok(self.0.chance.random.next_u64())
    }
}
