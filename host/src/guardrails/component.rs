//! Guardrail components: a text, a fresh instance with nothing but its own code, and a verdict. It has fuel, memory and
//! time of its own, and takes its turn like any guest. Whoever traps, hangs, lies or is missing has said no: it fails
//! closed. What it said passes the run's journal, so that every life of the run is told the same.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::component::{Component, HasData, Linker};

use super::redact::{self, Counts, Set};
use super::{At, Config, Guard, Kind, guard};
use crate::kit::error::{NOT_FOUND, UNAVAILABLE};
use crate::kit::trace::kinds;
use crate::kit::{Clock, OrgId, Result, Tasks, Trace};
use crate::sandbox::bindings::guardrail::GuardrailPre;
use crate::sandbox::bindings::guardrail::bulkhead::agent::checks;
use crate::sandbox::{
    Fault, Host, Journal, Limits, Meter, OwnTime, Sandbox, Scheduler, invoke, journal, wasi,
};

/// How verdicts are called in the journal.
const KIND: &str = "guardrail.check";
const TEXT_BYTES_MAX: usize = 1 << 20;
const REASON_CHARS_MAX: usize = 1_024;
/// Components kept linked.
const LINKED_MAX: u64 = 128;
/// How long is waited before a database that is away, or a full engine, is asked again.
const LOAD_PAUSE: Duration = Duration::from_millis(200);
const FULL_PAUSE: Duration = Duration::from_millis(20);

type Digest = [u8; 32];

/// Finds the stable version of a guardrail component by its name.
pub type Load =
    Arc<dyn Fn(OrgId, String) -> BoxFuture<'static, Result<(Digest, Component)>> + Send + Sync>;

/// Runs guardrail components.
#[derive(Clone)]
pub struct Checker {
    sandbox: Sandbox,
    scheduler: Scheduler,
    tasks: Tasks,
    clock: Clock,
    load: Load,
    config: Config,
    linker: Arc<Linker<Bare>>,
    linked: Cache<Digest, GuardrailPre<Bare>>,
}

/// Everything the store of a guardrail component holds.
pub struct Bare(Host);

impl AsMut<Host> for Bare {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

struct Nothing;

impl HasData for Nothing {
    type Data<'a> = Self;
}

impl checks::Host for Nothing {}

/// What is judged.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    pub at: &'static str,
    pub agent: String,
    pub tool: Option<String>,
    pub text: String,
}

/// What a component said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allow,
    Rewrite(String),
    Block(String),
}

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Rewrite(_) => "rewrite",
            Self::Block(_) => "block",
        }
    }
}

/// The components of one life of a run.
#[derive(Clone)]
pub struct Judge {
    pub checker: Checker,
    pub org: OrgId,
    pub guard: Arc<Guard>,
    pub agent: String,
    /// The run in its trace.
    pub trace: Trace,
}

impl Checker {
    pub fn new(
        (sandbox, scheduler): (&Sandbox, &Scheduler),
        (tasks, clock): (&Tasks, &Clock),
        load: Load,
        config: Config,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            linker: Arc::new(linker(sandbox)?),
            sandbox: sandbox.clone(),
            scheduler: scheduler.clone(),
            tasks: tasks.clone(),
            clock: clock.clone(),
            load,
            config,
            linked: Cache::new(LINKED_MAX),
        })
    }

    /// One verdict. `Err` says in a word what the component did instead.
    pub async fn check(&self, org: OrgId, name: &str, subject: Subject) -> Result<Verdict, String> {
        let (digest, component) = self.loaded(org, name).await?;
        let pre = match self.linked.get(&digest).await {
            Some(pre) => pre,
            None => {
                let linked = link(&self.linker, &component);
                let pre = linked.map_err(|_| "not a guardrail".to_owned())?;
                self.linked.insert(digest, pre.clone()).await;
                pre
            }
        };
        let is_json = subject.at == At::Tool.name();
        match self.run(org, &pre, subject).await? {
            checks::Verdict::Allow => Ok(Verdict::Allow),
            checks::Verdict::Rewrite(text) if fits(&text, is_json) => Ok(Verdict::Rewrite(text)),
            checks::Verdict::Rewrite(_) => Err("a rewrite that cannot be".to_owned()),
            checks::Verdict::Block(why) => {
                let why = why.chars().filter(|c| !c.is_control() && !turns(*c));
                Ok(Verdict::Block(why.take(REASON_CHARS_MAX).collect()))
            }
        }
    }

    /// The stable version. While the database is away it is asked for again, for as long as the run may take: that is
    /// not the component's doing.
    async fn loaded(&self, org: OrgId, name: &str) -> Result<(Digest, Component), String> {
        loop {
            match (self.load)(org, name.to_owned()).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) if error.is(UNAVAILABLE) => {
                    tracing::warn!(
                        cause = error.chain(),
                        name,
                        "a guardrail component could not be loaded; trying again"
                    );
                    tokio::time::sleep(LOAD_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, cause = error.chain(), name, "a guardrail component is missing");
                    let is_missing = error.is(NOT_FOUND);
                    return Err(if is_missing { "missing" } else { "not loaded" }.to_owned());
                }
            }
        }
    }

    /// Asks until there is a place for it, for as long as it may wait to begin.
    async fn run(
        &self,
        org: OrgId,
        pre: &GuardrailPre<Bare>,
        subject: Subject,
    ) -> Result<checks::Verdict, String> {
        let wait = Duration::from_millis(self.config.component_wait_ms);
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let ended = self.once(org, pre.clone(), subject.clone(), wait).await?;
            return match ended {
                Some(Ok(verdict)) => Ok(verdict),
                // Other tenants' guests hold what it needs.
                Some(Err(Fault::Full)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(FULL_PAUSE).await;
                    continue;
                }
                Some(Err(Fault::Limit(limit))) => Err(limit.key().to_owned()),
                Some(Err(Fault::Full)) => Err("no place".to_owned()),
                Some(Err(_)) | None => Err("trap".to_owned()),
            };
        }
    }

    async fn once(
        &self,
        org: OrgId,
        pre: GuardrailPre<Bare>,
        subject: Subject,
        wait: Duration,
    ) -> Result<Option<Result<checks::Verdict, Fault>>, String> {
        let limits = Limits {
            fuel: self.config.component_fuel,
            memory_bytes: self.config.component_memory_bytes,
            ..self.sandbox.config().limits.clone()
        };
        let meter = Meter::new(self.clock.now());
        let bare = Bare(Host::new(limits, Arc::clone(&meter), [0; 32]));
        let own = Arc::<OwnTime>::default();
        let most = Duration::from_millis(self.config.component_ms);
        let (asked, all) = (asked(subject), wait + most);
        let call = invoke::check(
            self.sandbox.clone(),
            (pre, bare),
            asked,
            all,
            Arc::clone(&own),
        );
        let mut running = self.scheduler.spawn(org.0.as_u128(), meter, call);
        let late = async {
            let _ = tokio::time::timeout(all, own.reaches(most)).await;
        };
        tokio::select! {
            biased;
            ended = running.wait() => Ok(ended),
            () = late => {
                running.stop();
                running.wait().await;
                Err("too slow".to_owned())
            }
        }
    }
}

impl Verdict {
    /// As it may be kept: what it says is a step of the run.
    fn kept(self, text: Set, why: Set) -> Self {
        let clean = |set, text: &str| redact::text(set, text, &mut Counts::default()).into_owned();
        match self {
            Self::Allow => Self::Allow,
            Self::Rewrite(said) => Self::Rewrite(clean(text, &said)),
            Self::Block(said) => Self::Block(clean(why, &said)),
        }
    }
}

/// Characters that turn the direction of what follows, and could make a reason read as another.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn asked(subject: Subject) -> checks::Subject {
    checks::Subject {
        place: match subject.at {
            "input" => checks::Place::Input,
            "tool" => checks::Place::Tool,
            _ => checks::Place::Output,
        },
        agent: subject.agent,
        tool: subject.tool,
        text: subject.text,
    }
}

fn fits(text: &str, is_json: bool) -> bool {
    let json = || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    text.len() <= TEXT_BYTES_MAX && (!is_json || json())
}

impl Judge {
    /// The text as every component of the version lets it pass, or the end of the run. Both what is asked and what is
    /// answered are kept: whoever asks has redacted the text.
    pub async fn judge(
        &self,
        journal: &mut dyn Journal,
        (at, tool): (At, Option<&str>),
        mut text: String,
    ) -> wasmtime::Result<String> {
        let rules = Arc::clone(self.guard.rules());
        let (text_set, why_set) = (self.guard.set(at), self.guard.set(At::Log));
        for (name, rule) in rules.components() {
            let subject = Subject {
                at: at.name(),
                agent: self.agent.clone(),
                tool: tool.map(str::to_owned),
                text,
            };
            let request = json!({ "component": name, "subject": &subject });
            let (checker, org, asked) = (
                self.checker.clone(),
                self.org,
                (name.to_owned(), subject.clone()),
            );
            let trace = self.trace.clone();
            let perform = async move {
                let span = trace.child(|| kinds::judgement(&asked.0, asked.1.at));
                let tasks = checker.tasks.clone();
                let check = tasks.spawn(async move { checker.check(org, &asked.0, asked.1).await });
                let said = AbortOnDropHandle::new(check).await;
                let said = said.unwrap_or_else(|_| Err("trap".to_owned()));
                match &said {
                    Ok(verdict) => span.set(kinds::VERDICT, verdict.name()),
                    Err(failed) => span.fail(failed.clone()),
                }
                said.map(|verdict| verdict.kept(text_set, why_set))
            };
            text = match journal::answer::<_, Verdict, String>(journal, KIND, &request, perform)
                .await?
            {
                Ok(Verdict::Allow) => subject.text,
                Ok(Verdict::Rewrite(mut rewritten)) => {
                    self.guard.rewritten(rule, at);
                    self.guard.clean(at, &mut rewritten);
                    rewritten
                }
                Ok(Verdict::Block(why)) => {
                    let mut why = why;
                    self.guard.clean(At::Log, &mut why);
                    let detail = json!({ "component": name, "reason": why });
                    return Err(self.blocked(
                        rule,
                        at,
                        ("the guardrail component blocked it", detail),
                    ));
                }
                Err(failed) => {
                    let detail = json!({ "component": name, "failed": failed });
                    return Err(self.blocked(
                        rule,
                        at,
                        ("the guardrail component gave no verdict", detail),
                    ));
                }
            };
        }
        Ok(text)
    }

    /// Whether anybody is asked.
    pub fn is_needed(&self) -> bool {
        self.guard.rules().components().next().is_some()
    }

    /// Bytes of output that are asked about at one time.
    pub fn piece_bytes(&self) -> usize {
        // A character has four bytes at most: each piece has one at least.
        self.checker.config.component_piece_bytes.max(4)
    }

    fn blocked(
        &self,
        rule: &str,
        at: At,
        (message, detail): (&str, serde_json::Value),
    ) -> wasmtime::Error {
        let blocked = guard::blocked(Kind::Component, rule, at, (message.to_owned(), detail));
        wasmtime::Error::new(blocked)
    }
}

/// Whether a component is a guardrail this host can run.
pub fn fit(sandbox: &Sandbox, component: &Component) -> wasmtime::Result<()> {
    link(&linker(sandbox)?, component).map(drop)
}

fn link(linker: &Linker<Bare>, component: &Component) -> wasmtime::Result<GuardrailPre<Bare>> {
    GuardrailPre::new(linker.instantiate_pre(component)?)
}

/// WASI without anything behind it, and the types of the question.
fn linker(sandbox: &Sandbox) -> wasmtime::Result<Linker<Bare>> {
    let mut linker = Linker::<Bare>::new(sandbox.engine());
    wasi::add_to_linker(&mut linker)?;
    checks::add_to_linker::<Bare, Nothing>(&mut linker, |_| Nothing)?;
    Ok(linker)
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checker")
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}
