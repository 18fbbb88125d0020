//! What guardrails do around a guest's turn, in the guest's own place: before it begins, once it has returned, and where
//! one ended it.

use futures_util::future::BoxFuture;

use super::imports::Guest;
use super::log::Event;
use crate::sandbox::bindings::bulkhead::agent::types::Turn;
use crate::sandbox::{Around, Blocked};

impl Around for Guest {
    fn begin(&mut self, turn: Turn) -> BoxFuture<'_, wasmtime::Result<Turn>> {
        Box::pin(async move { Ok(turn) })
    }

    fn returned(&mut self) -> BoxFuture<'_, wasmtime::Result<()>> {
        Box::pin(async move {
            let guard = self.record().guard();
            guard.finishes().map_err(wasmtime::Error::new)
        })
    }

    fn blocked(&mut self, by: Blocked) -> BoxFuture<'_, wasmtime::Result<()>> {
        Box::pin(async move {
            let said = self.record().say(Event::Blocked(Box::new(by))).await;
            said.map_err(wasmtime::Error::new)
        })
    }
}
