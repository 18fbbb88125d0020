//! Asking a component what it is and which tools it offers: once, at upload, with no capability but `log`, with little
//! fuel and time. Every other import is a trap.

use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasData, InstancePre, Linker, ResourceType};

use super::{Agents, Manifest};
use crate::kit::{Code, Error, Result};
use crate::limits::Effective;
use crate::sandbox::bindings::bulkhead::agent::{log, types};
use crate::sandbox::bindings::provider::ToolProviderPre;
use crate::sandbox::component::{is_agent, provides};
use crate::sandbox::schedule::Tenant;
use crate::sandbox::{AgentPre, Fault, Host, Limits, Meter, invoke, wasi};

pub const DESCRIBE_FAILED: Code = Code::new(
    "describe_failed",
    422,
    "The component could not say what it is",
);

/// What a manifest may bring: every tool with the longest schema.
const MANIFEST_BYTES_MAX: u64 = 8 << 20;

struct Asked(Host);

impl AsMut<Host> for Asked {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

struct Quiet;

impl HasData for Quiet {
    type Data<'a> = Self;
}

impl types::Host for Quiet {}

/// What is logged while describing has no run to belong to.
impl log::Host for Quiet {
    async fn line(&mut self, _level: log::Level, _text: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Agents {
    /// Asks under the limits of the organization it is for.
    pub(super) async fn describe(
        &self,
        tenant: Tenant,
        (name, component): (&str, &Component),
        limits: &Effective,
    ) -> Result<Manifest> {
        let pre = self.describe_pre(component).map_err(|error| {
            super::upload::COMPONENT_REFUSED
                .because(format!("The component does not fit the world: {error:#}."))
        })?;
        let limits = Limits {
            fuel: self.config.describe_fuel,
            crossing_bytes_per_call: MANIFEST_BYTES_MAX,
            ..limits.sandbox.clone()
        };
        let meter = Meter::new(self.clock.now());
        let asked = Asked(Host::new(limits, std::sync::Arc::clone(&meter), [0; 32]));
        let wall = Duration::from_millis(self.config.describe_ms);
        let sandbox = self.sandbox.clone();
        let mut running =
            self.scheduler
                .spawn(tenant, meter, invoke::describe(sandbox, pre, asked, wall));
        let described = match tokio::time::timeout(wall, running.wait()).await {
            Ok(described) => described,
            Err(_) => {
                running.stop();
                running.wait().await;
                return Err(DESCRIBE_FAILED.because(format!(
                    "`describe` took longer than {} ms.",
                    self.config.describe_ms
                )));
            }
        };
        match described {
            Some(Ok(described)) => Manifest::of(name, described, provides(component)),
            Some(Err(Fault::Limit(limit))) => {
                Err(DESCRIBE_FAILED.because(format!("`describe` was ended: {limit}.")))
            }
            Some(Err(Fault::Trap(what))) => {
                Err(DESCRIBE_FAILED.because(format!("`describe` trapped: {what}.")))
            }
            Some(Err(Fault::Full)) => Err(Error::unavailable(
                "Every slot of the engine is taken; upload again.",
            )),
            Some(Err(Fault::Host(error))) => Err(Error::internal(error)),
            // No rule is about it yet.
            Some(Err(Fault::Blocked(by))) => Err(Error::internal(*by)),
            // It has no clock to sleep by.
            Some(Err(Fault::Away(away))) => Err(Error::internal(away)),
            None => Err(Error::internal("describing a component panicked")),
        }
    }

    /// Ready to be asked, once it fits the worlds it has exports of.
    fn describe_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<Asked>> {
        let mut linker = Linker::<Asked>::new(self.sandbox.engine());
        wasi::add_to_linker(&mut linker)?;
        log::add_to_linker::<Asked, Quiet>(&mut linker, |asked| {
            asked.0.call_quietly();
            Quiet
        })?;
        types::add_to_linker::<Asked, Quiet>(&mut linker, |_| Quiet)?;
        trap_the_rest(&mut linker, component)?;
        let pre = linker.instantiate_pre(component)?;
        if is_agent(component) {
            AgentPre::new(pre.clone())?;
        }
        if provides(component) {
            ToolProviderPre::new(pre.clone())?;
        }
        Ok(pre)
    }
}

/// Defines the contract's other interfaces as traps, as far as the component imports them. What is WASI's is linked by
/// then, under whichever 0.2 version the component names; wasmtime's own way would put traps before it.
fn trap_the_rest(linker: &mut Linker<Asked>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (interface, import) in component.component_type().imports(engine) {
        let ours = interface.strip_prefix("bulkhead:agent/");
        let ours =
            ours.is_some_and(|name| !name.starts_with("log@") && !name.starts_with("types@"));
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            continue;
        };
        if !ours {
            continue;
        }
        let mut traps = linker.instance(interface)?;
        for (name, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    let what = format!("`{interface}` `{name}` is not for `describe`");
                    traps.func_new(name, move |_, _, _, _| {
                        Err(wasmtime::Error::msg(what.clone()))
                    })?;
                }
                ComponentItem::Resource(_) => {
                    traps.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
