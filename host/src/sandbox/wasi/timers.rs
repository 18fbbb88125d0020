//! WASI's monotonic clock and polls on the run's frozen clock, linked in place of wasmtime's own: its timers are on the
//! machine's clock, so whoever sets one and computes could tell how long that took. Here a timer is due when the
//! frozen clock says so, and the clock moves only while a guest waits, to the instant it waited for. Invariant: what a
//! guest learns from a timer depends on nothing but what it asked for.

use std::time::Duration;

use wasmtime::component::{HasData, Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::io::poll;

use crate::sandbox::host::Host;

/// What a run's clock and polls act on.
pub(super) struct View<'a>(pub(super) &'a mut Host);

pub(super) struct HasTimers;

impl HasData for HasTimers {
    type Data<'a> = View<'a>;
}

/// A pollable that is due at an instant of the frozen clock, in nanoseconds.
#[derive(Debug)]
struct Timer(u64);

impl monotonic_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.0.table.push(Timer(when))?;
        Ok(Resource::new_own(timer.rep()))
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(self.now_ns().saturating_add(when))
    }
}

impl poll::Host for View<'_> {
    async fn poll(&mut self, all: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let due = all
            .iter()
            .map(|pollable| self.due(pollable.rep()))
            .collect::<wasmtime::Result<Vec<u64>>>()?;
        let Some(first) = due.iter().min() else {
            return Err(wasmtime::Error::msg("empty poll list"));
        };
        self.wait_until(*first).await;
        let now = self.now_ns();
        let ready = (0..).zip(&due).filter(|(_, due)| **due <= now);
        Ok(ready.map(|(place, _)| place).collect())
    }
}

impl poll::HostPollable for View<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Ok(self.due(pollable.rep())? <= self.now_ns())
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        let due = self.due(pollable.rep())?;
        self.wait_until(due).await;
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        match self
            .0
            .table
            .delete(Resource::<Timer>::new_own(pollable.rep()))
        {
            Err(ResourceTableError::WrongType) => {
                <ResourceTable as poll::HostPollable>::drop(&mut self.0.table, pollable)
            }
            deleted => Ok(deleted.map(drop)?),
        }
    }
}

impl View<'_> {
    fn now_ns(&self) -> u64 {
        self.0.meter().now_ns()
    }

    /// When a pollable is due. What is not a timer is a stream into the log or the closed stdin: always ready.
    fn due(&self, rep: u32) -> wasmtime::Result<u64> {
        match self.0.table.get(&Resource::<Timer>::new_borrow(rep)) {
            Ok(Timer(due)) => Ok(*due),
            Err(ResourceTableError::WrongType) => {
                self.0
                    .table
                    .get(&Resource::<DynPollable>::new_borrow(rep))?;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for as long as it is until then, and has it be then.
    async fn wait_until(&mut self, due: u64) {
        let wait = due.saturating_sub(self.now_ns());
        if wait > 0 {
            let _at = self.0.at("sleep");
            if self.0.waits {
                tokio::time::sleep(Duration::from_nanos(wait)).await;
            }
            self.0.meter().advance_to_ns(due);
        }
    }
}
