//! The one seam between the SDK and what answers it: the host's imports in a component, the thread's `MockHost`
//! everywhere else. The capability modules call these names and know nothing of the choice.

#[cfg(target_family = "wasm")]
mod component;
#[cfg(target_family = "wasm")]
mod judged;

#[cfg(target_family = "wasm")]
pub(crate) use component::{
    Generation, cite, forget, generate, keys, line, now, remember, remembered, search, setting,
    settings, sleep, status, text, tool_finished, tool_started,
};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::mock::host::{
    Generation, cite, generate, line, now, search, sleep, status, text, tool_finished, tool_started,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::mock::memory::{forget, keys, remember, remembered, setting, settings};
