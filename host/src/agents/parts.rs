//! What the room is made from, and its limits.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Agents, Fits, channels};
use crate::guardrails::Guardrails;
use crate::kit::Base;
use crate::limits::Limits;
use crate::sandbox::compile::{Artifacts, Places};
use crate::sandbox::{Sandbox, Scheduler};

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The largest component, in bytes, where an organization was given no other limit.
    pub component_bytes: usize,
    /// Fuel and time of `describe`.
    pub describe_fuel: u64,
    pub describe_ms: u64,
    /// How long the bytes of a deleted version are kept.
    pub collect_after_ms: u64,
    /// Valid keys of an organization's publishers: a signature is compared with each.
    pub publisher_keys: usize,
    /// How often a canary that judges itself is looked at.
    pub judge_ms: u64,
    /// How far before it stable's runs count where it had too few since.
    pub judge_before_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            describe_fuel: 100_000_000,
            describe_ms: 2_000,
            collect_after_ms: 3_600_000,
            publisher_keys: 32,
            judge_ms: 5_000,
            judge_before_ms: 86_400_000,
        }
    }
}

/// Components inspected at one time: each keeps a core busy for as long as it has bytes.
const INSPECTIONS: usize = 2;

/// What the room is made from.
pub struct Parts {
    pub base: Base,
    pub limits: Limits,
    pub guardrails: Guardrails,
    pub sandbox: Sandbox,
    pub scheduler: Scheduler,
    pub artifacts: Artifacts,
    pub fits: Fits,
    pub program: PathBuf,
    pub config: Config,
}

impl Agents {
    pub fn new(parts: Parts) -> Self {
        let Base {
            db,
            clock,
            ids,
            cursors,
            tasks,
            ..
        } = parts.base;
        let compile = &parts.sandbox.config().compile;
        let queued = (compile.queued, compile.queued_per_tenant);
        let children = Places::new(compile.children, queued);
        let inspections = Places::new(INSPECTIONS, queued);
        Self {
            db,
            clock,
            ids,
            cursors,
            tasks,
            limits: parts.limits,
            guardrails: parts.guardrails,
            sandbox: parts.sandbox,
            scheduler: parts.scheduler,
            artifacts: parts.artifacts,
            fits: parts.fits,
            program: parts.program,
            config: Arc::new(parts.config),
            inspections,
            children,
            resolved: channels::cache(),
            pointed: channels::pointers(),
        }
    }
}
