//! What a guest of a run is offered, one line for each interface. Only what is linked here exists for a guest; a
//! component that imports less is given less.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use wasmtime::component::{Component, Linker};

use super::guest;
use super::journal::RunJournal;
use super::life::execute::Work;
use super::log::Record;
use crate::agents::{self, Agents, Digest, Fits, Settings};
use crate::billing;
use crate::conversations::{self, ConversationId, Conversations};
use crate::guardrails::{Checker, Guardrails, Judge};
use crate::kit::{Code, Error, Result, Tasks, Trace};
use crate::knowledge::{self, Knowledge};
use crate::models::{self, Models};
use crate::sandbox::bindings::bulkhead::agent as wit;
use crate::sandbox::bindings::provider::bulkhead::agent::provided;
use crate::sandbox::{AgentPre, Host, Journal, Sandbox, wasi};

/// Linked versions kept in memory; one more costs reading its artifact from disk.
const LINKED_MAX: u64 = 512;

/// A component was made for a host that offers something else.
pub const OTHER_CONTRACT: Code = Code::new(
    "other_contract",
    409,
    "The version was made for another contract",
);

/// Everything the store of a run holds.
pub struct Guest {
    pub host: Host,
    journal: Box<dyn Journal>,
    models: models::guest::Context,
    knowledge: knowledge::guest::Context,
    memory: conversations::memory::guest::Context,
    settings: Arc<Settings>,
    talk: guest::Context,
}

impl Guest {
    pub(super) fn record(&self) -> &Arc<Record> {
        self.talk.record()
    }

    /// The models, as the guest's own calls see them.
    pub(super) fn models(&mut self) -> models::guest::View<'_> {
        models::guest::View {
            context: &mut self.models,
            host: &mut self.host,
            journal: &mut *self.journal,
        }
    }
}

impl AsMut<Host> for Guest {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.host
    }
}

/// The capabilities behind the imports.
#[derive(Clone, Debug)]
pub struct Capabilities {
    pub models: Models,
    pub knowledge: Knowledge,
    pub conversations: Conversations,
    pub guardrails: Guardrails,
    pub checker: Checker,
    /// Sleeps from this length on take a guest out of memory.
    pub suspend_after: Duration,
}

/// Whose guest it is, and where what it says and uses goes.
pub(super) struct Of<'a> {
    /// The model alias of its version.
    pub(super) model: &'a str,
    pub(super) agent: &'a str,
    /// The configuration of its version.
    pub(super) settings: &'a Arc<Settings>,
    /// Whose memory it has, where it asks the outside.
    pub(super) conversation: Option<ConversationId>,
    pub(super) record: &'a Arc<Record>,
    pub(super) tokens: &'a billing::Meter,
    pub(super) gate: &'a billing::Gate,
    pub(super) tasks: &'a Tasks,
    pub(super) trace: Trace,
}

impl Capabilities {
    /// The store's data for one run.
    pub(super) fn guest(&self, host: Host, work: &Work, tasks: &Tasks) -> Guest {
        let journal = RunJournal::new(
            Arc::clone(&work.record),
            Arc::clone(&work.meter),
            work.tokens.clone(),
            work.past.clone(),
        );
        let of = Of {
            model: &work.resolved.model,
            agent: &work.resolved.name,
            settings: &work.resolved.settings,
            conversation: work.row.conversation,
            record: &work.record,
            tokens: &work.tokens,
            gate: &work.gate,
            tasks,
            trace: work.span.trace(),
        };
        self.guest_of(host, Box::new(journal), of)
    }

    /// The same with a journal of the caller's.
    pub(super) fn guest_of(&self, host: Host, journal: Box<dyn Journal>, of: Of<'_>) -> Guest {
        let org = of.record.key.org;
        let judge = Judge {
            checker: self.checker.clone(),
            org,
            guard: of.record.guard(),
            agent: of.agent.to_owned(),
            trace: of.trace.clone(),
        };
        Guest {
            journal,
            models: models::guest::Context {
                models: self.models.clone(),
                org,
                alias: of.model.to_owned(),
                meter: of.tokens.clone(),
                guard: of.record.guard(),
                judge: Some(judge.clone()),
                gate: of.gate.clone(),
                trace: of.trace.clone(),
            },
            knowledge: knowledge::guest::Context::new(
                self.knowledge.clone(),
                org,
                (of.record.guard(), of.trace),
            ),
            memory: conversations::memory::guest::Context::new(
                self.conversations.clone(),
                (org, of.conversation),
                of.record.guard(),
            ),
            settings: Arc::clone(of.settings),
            talk: guest::Context::new(
                Arc::clone(of.record),
                (of.tasks.clone(), judge),
                self.suspend_after,
            ),
            host,
        }
    }
}

/// The linker, and versions linked with it.
#[derive(Clone)]
pub struct Imports {
    linker: Arc<Linker<Guest>>,
    linked: Cache<Digest, AgentPre<Guest>>,
}

impl Imports {
    pub fn new(sandbox: &Sandbox) -> wasmtime::Result<Self> {
        let linker = Arc::new(linker(sandbox)?);
        Ok(Self {
            linker,
            linked: Cache::new(LINKED_MAX),
        })
    }

    /// Whether a component fits; agents asks at upload.
    pub fn fits(&self) -> Fits {
        let linker = Arc::clone(&self.linker);
        Arc::new(move |component: &Component| {
            link(&linker, component)
                .map(drop)
                .map_err(|error| format!("{error:#}"))
        })
    }

    /// A version ready to be instantiated. Concurrent first runs of a version load it once.
    pub async fn pre(&self, agents: &Agents, digest: Digest) -> Result<AgentPre<Guest>> {
        if let Some(pre) = self.linked.get(&digest).await {
            return Ok(pre);
        }
        let load = async {
            let component = agents.load(digest).await?;
            link(&self.linker, &component).map_err(|error| {
                OTHER_CONTRACT.because(format!(
                    "The component does not fit this host: {error:#}. Upload one that is built with this host's SDK."
                ))
            })
        };
        self.linked
            .try_get_with(digest, load)
            .await
            .map_err(|error: Arc<Error>| error.code.because(error.detail.clone()).caused_by(error))
    }
}

impl std::fmt::Debug for Imports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Imports")
    }
}

fn link(linker: &Linker<Guest>, component: &Component) -> wasmtime::Result<AgentPre<Guest>> {
    AgentPre::new(linker.instantiate_pre(component)?)
}

fn linker(sandbox: &Sandbox) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::<Guest>::new(sandbox.engine());
    let l = &mut linker;
    wasi::add_to_linker(l)?;
    wit::types::add_to_linker::<Guest, guest::HasView>(l, talk)?;
    wit::log::add_to_linker::<Guest, guest::HasView>(l, leave_words)?;
    wit::clock::add_to_linker::<Guest, guest::HasView>(l, talk)?;
    wit::output::add_to_linker::<Guest, guest::HasView>(l, talk)?;
    wit::tools::add_to_linker::<Guest, guest::HasView>(l, talk)?;
    wit::model::add_to_linker::<Guest, models::guest::HasView>(l, |guest| {
        guest.host.call();
        guest.models()
    })?;
    wit::knowledge::add_to_linker::<Guest, knowledge::guest::HasView>(l, |guest| {
        guest.host.call();
        knowledge::guest::View {
            context: &mut guest.knowledge,
            host: &mut guest.host,
            journal: &mut *guest.journal,
        }
    })?;
    remembering(l)?;
    Ok(linker)
}

/// What a guest keeps, and what its version was deployed with.
fn remembering(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use conversations::memory::guest as memory;
    wit::memory::add_to_linker::<Guest, memory::HasView>(linker, |guest| {
        guest.host.call();
        memory::View {
            context: &mut guest.memory,
            host: &mut guest.host,
            journal: &mut *guest.journal,
        }
    })?;
    wit::settings::add_to_linker::<Guest, agents::settings::HasView>(linker, |guest| {
        guest.host.call();
        agents::settings::View {
            settings: &guest.settings,
            host: &mut guest.host,
        }
    })?;
    // The types of what an agent offers others.
    provided::add_to_linker::<Guest, guest::HasView>(linker, talk)
}

impl Guest {
    pub(super) fn talks(&mut self) -> guest::View<'_> {
        view(self)
    }
}

fn talk(guest: &mut Guest) -> guest::View<'_> {
    guest.host.call();
    view(guest)
}

fn leave_words(guest: &mut Guest) -> guest::View<'_> {
    guest.host.call_quietly();
    view(guest)
}

fn view(guest: &mut Guest) -> guest::View<'_> {
    guest::View {
        context: &mut guest.talk,
        knowledge: &guest.knowledge,
        host: &mut guest.host,
        journal: &mut *guest.journal,
    }
}
