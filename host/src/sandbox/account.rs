//! What host calls cost a guest, and where its slice ends. A call is paid for in fuel when it returns; wasmtime begins
//! a new slice whenever fuel is set, so what is left of the old one is kept here: a guest that only makes cheap calls
//! gives way as often as one that computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{CallHook, StoreContextMut};

use super::host::Host;
use super::limits::Limit;

/// The fuel of one store.
#[derive(Debug)]
pub(super) struct Account {
    budget: u64,
    slice: u64,
    /// How often the guest was polled: a poll begins a slice.
    polls: Arc<AtomicU64>,
    seen: u64,
    /// Fuel used at which the slice ends.
    slice_end: u64,
    /// What wasmtime was told last.
    interval: u64,
}

impl Account {
    pub(super) fn new(budget: u64, slice: u64, polls: Arc<AtomicU64>) -> Self {
        Self {
            budget,
            slice,
            polls,
            seen: 0,
            slice_end: slice,
            interval: slice,
        }
    }

    /// Every way out of the guest passes here, the end of a fuel slice included: the meter is brought up to date on
    /// the way out, what the call cost is charged on the way in, and a refused call ends the run.
    pub(super) fn cross<T: AsMut<Host>>(
        &mut self,
        mut ctx: StoreContextMut<'_, T>,
        hook: CallHook,
    ) -> wasmtime::Result<()> {
        match hook {
            CallHook::CallingHost | CallHook::ReturningFromWasm => {
                let used = self.budget.saturating_sub(ctx.get_fuel()?);
                ctx.data_mut().as_mut().meter().set_fuel(used);
                Ok(())
            }
            CallHook::ReturningFromHost => self.charge(ctx),
            CallHook::CallingWasm => Ok(()),
        }
    }

    fn charge<T: AsMut<Host>>(&mut self, mut ctx: StoreContextMut<'_, T>) -> wasmtime::Result<()> {
        let charge = ctx.data_mut().as_mut().settle()?;
        let left = ctx.get_fuel()?;
        let ends = ctx.data_mut().as_mut().ends_with_fuel;
        if left < charge || (ends && left == charge) {
            ctx.set_fuel(0)?;
            return Err(Limit::Fuel.into());
        }
        let left = left - charge;
        let used = self.budget.saturating_sub(left);
        let polls = self.polls.load(Ordering::Relaxed);
        let new_slice = polls != self.seen;
        if new_slice {
            self.seen = polls;
            self.slice_end = used.saturating_add(self.slice);
        }
        if charge > 0 || (new_slice && self.interval != self.slice) {
            self.interval = self.slice_end.saturating_sub(used).max(1);
            ctx.set_fuel(left)?;
            ctx.fuel_async_yield_interval(Some(self.interval))?;
        }
        Ok(())
    }
}
