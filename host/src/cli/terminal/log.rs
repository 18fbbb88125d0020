//! The log of a running host, on stderr: lines for people in `dev`, JSON in `serve`. Panics are logged like everything
//! else, once, where they happen.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use super::{Failure, Output};

/// Starts logging what `filter` lets through.
pub(in crate::cli) fn start(filter: &str, json: bool, out: Output) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!(
            "--log (BULKHEAD_LOG) {filter:?} is no filter: {error}; such as `info,bulkhead=debug`"
        ))
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let started = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(out.colours()).with_target(false).try_init()
    };
    started.map_err(|error| Failure::new("log", error.to_string()))?;
    std::panic::set_hook(Box::new(
        |panic| tracing::error!(%panic, "a thread panicked"),
    ));
    Ok(())
}
