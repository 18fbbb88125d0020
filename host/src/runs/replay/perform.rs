//! The run itself, once more: the same seed, clock, input, limits and answers, in a slot of the scheduler like any run.
//! Dropping the request's future stops the guest. A run that was stopped from outside is replayed to the fuel it had
//! used then, the call it was in included: fuel is counted at the same places of the code, so it ends where it was.

use std::sync::Arc;
use std::time::Duration;

use super::Found;
use super::answers::{Answers, Saw, Seen};
use super::report::{Beyond, There};
use crate::agents::Resolved;
use crate::billing;
use crate::guardrails::{At, Guard};
use crate::kit::{Error, OrgId, Result, Trace};
use crate::limits::Effective;
use crate::runs::imports::{Guest, Of};
use crate::runs::life::execute::{Ended, FULL_PAUSE, turn};
use crate::runs::life::finish::{Verdict, cap, verdict};
use crate::runs::log::record::Key;
use crate::runs::log::{Record, Stored};
use crate::runs::start::{Admitted, Place};
use crate::runs::{Runs, Usage};
use crate::sandbox::journal::{DIVERGED, TookMore};
use crate::sandbox::{AgentPre, Fault, Host, Limits, Meter, invoke};

/// What came of a replay.
pub(super) struct Performed {
    pub(super) version: i32,
    pub(super) end: End,
    pub(super) said: Vec<Stored>,
    pub(super) usage: Usage,
    pub(super) saw: Saw,
}

/// How a replay ended.
pub(super) enum End {
    Of(Verdict),
    /// Where the run was stopped.
    Stopped,
    /// Where nothing is recorded, or its time was up.
    Open,
}

/// One guest of a replay, and what it leaves.
struct Attempt {
    record: Arc<Record>,
    meter: Arc<Meter>,
    tokens: billing::Meter,
    seen: Seen,
    /// The fuel at which the run was stopped.
    stopped_at: Option<u64>,
    ended: Option<Ended>,
}

impl Runs {
    /// A place like a run's, waited for in the queue.
    pub(super) async fn replay_place(&self, org: OrgId) -> Result<Place> {
        let given = self.inner.limits.effective(org, None).await?;
        let places = given.each.concurrent_runs.value;
        match self.inner.admission.admit(org, places)? {
            Admitted::Now(place) => Ok(place),
            Admitted::Later(queued) => {
                let wait = tokio::time::timeout(self.replay_wall(), queued.place()).await;
                wait.map_err(|_| Error::unavailable("Every place is taken; try again later."))?
            }
        }
    }

    fn replay_wall(&self) -> Duration {
        Duration::from_millis(self.inner.config.replay_wall_ms)
    }

    pub(super) async fn perform(
        &self,
        found: &Arc<Found>,
        (resolved, pre): (&Resolved, AgentPre<Guest>),
        limits: &Effective,
    ) -> Result<Performed> {
        let began = self.inner.clock.now();
        let mut time_up = Box::pin(tokio::time::sleep(self.replay_wall()));
        loop {
            let mut attempt = self.attempt(found, resolved);
            // A run that was stopped before its guest had its first slice: nothing ran.
            if attempt.stopped_at != Some(0) {
                let guest = self.guest_of_replay(found, resolved, (&attempt, limits));
                let turn = turn(found.view.id, found.view.created_at, &found.messages);
                let sandbox = self.inner.sandbox.clone();
                let call = invoke::run(sandbox, pre.clone(), guest, turn, self.replay_wall());
                let tenant = attempt.record.key.org.0.as_u128();
                let meter = Arc::clone(&attempt.meter);
                let mut running = self.inner.scheduler.spawn(tenant, meter, call);
                attempt.ended = tokio::select! {
                    value = running.wait() => Some(match value {
                        Some(Ok(returned)) => Ended::Returned(returned),
                        Some(Err(fault)) => Ended::Faulted(fault),
                        None => return Err(Error::internal("the guest's future panicked")),
                    }),
                    () = &mut time_up => {
                        running.stop();
                        running.wait().await;
                        None
                    }
                };
            }
            if !matches!(attempt.ended, Some(Ended::Faulted(Fault::Full))) {
                let took = self.inner.clock.now() - began;
                let wall_ms = i64::try_from(took.whole_milliseconds()).unwrap_or(i64::MAX);
                return attempt.over(found, resolved.version, wall_ms);
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    fn attempt(&self, found: &Found, resolved: &Resolved) -> Attempt {
        let key = Key {
            org: found.org,
            run: found.view.id,
            term: found.lives,
        };
        let guard = Guard::new(Arc::clone(&resolved.guardrails));
        let meter = Meter::new(found.view.created_at);
        let tokens = billing::Meter::default();
        for (seq, effect) in &found.past.effects {
            tokens.lost_before(*seq, effect.lost);
        }
        Attempt {
            record: Record::held(key, self.inner.clock.clone(), Arc::clone(&meter), &guard),
            meter,
            tokens,
            seen: Seen::default(),
            stopped_at: found.stopped_at(resolved.version),
            ended: None,
        }
    }

    fn guest_of_replay(
        &self,
        found: &Arc<Found>,
        resolved: &Resolved,
        (attempt, limits): (&Attempt, &Effective),
    ) -> Guest {
        let fuel_max = u64::try_from(found.view.fuel_max).unwrap_or(0);
        let limits = Limits {
            fuel: attempt.stopped_at.unwrap_or(fuel_max),
            ..limits.sandbox.clone()
        };
        let mut host = Host::new(limits, Arc::clone(&attempt.meter), found.seed).without_waiting();
        if attempt.stopped_at.is_some() {
            host = host.ending_with_fuel();
        }
        let answers = Answers::new(
            Arc::clone(found),
            Arc::clone(&attempt.meter),
            (attempt.seen.clone(), Arc::clone(&attempt.record)),
            resolved.version != found.view.version,
        );
        let of = Of {
            model: &resolved.model,
            agent: &resolved.name,
            settings: &resolved.settings,
            // All that is remembered is in the journal.
            conversation: None,
            record: &attempt.record,
            tokens: &attempt.tokens,
            gate: &billing::Gate::open(),
            tasks: &self.inner.tasks,
            // A replay has no effects, and no spans.
            trace: Trace::default(),
        };
        self.inner
            .capabilities
            .guest_of(host, Box::new(answers), of)
    }
}

/// Whether the same was said, whenever it was.
fn same(said: &[Stored], recorded: &[Stored]) -> bool {
    let fact = |event: &Stored| (event.kind.clone(), event.data.clone());
    said.iter().map(fact).eq(recorded.iter().map(fact))
}

impl Attempt {
    fn over(self, found: &Found, version: i32, wall_ms: i64) -> Result<Performed> {
        if let Some(diverged) = self.diverged() {
            let cause = std::error::Error::source(diverged);
            self.seen
                .unreadable(cause.is_some_and(|cause| cause.is::<TookMore>()));
        }
        let mut saw = self.seen.take();
        let guard = self.record.guard();
        for asked in &mut saw.differ {
            guard.clean(At::Log, &mut asked.recorded);
            guard.clean(At::Log, &mut asked.replayed);
        }
        let fuel = self.meter.fuel();
        let here = self.stopped_at == Some(fuel);
        let end = if here {
            saw.beyond.take_if(|beyond| !beyond.is_recorded());
            End::Stopped
        } else if let Some(beyond) = &saw.beyond {
            if found.was_stopped() && !beyond.is_recorded() {
                End::Stopped
            } else {
                End::Open
            }
        } else {
            match &self.ended {
                None => {
                    saw.beyond = Some(Beyond {
                        step: None,
                        kind: None,
                        why: "The replay took longer than a replay may.".to_owned(),
                        there: There::TimeUp,
                    });
                    End::Open
                }
                Some(Ended::Faulted(Fault::Host(error))) if cap(error).is_none() => {
                    return Err(Error::internal(format!("a replay failed: {error:#}")));
                }
                Some(ended) => {
                    let mut verdict = verdict(ended);
                    verdict.clean(&self.record.guard());
                    End::Of(verdict)
                }
            }
        };
        // It may have been stopped in the call that says the last of it, before it was said.
        let in_last_call = self.record.last_said_in() == self.meter.host_calls();
        let without_last = self.record.without_last()?;
        let mut said = self.record.rest()?.held;
        if here && in_last_call && !same(&said, &found.said) && same(&without_last, &found.said) {
            said = without_last;
        }
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let tokens = self.tokens.total();
        Ok(Performed {
            version,
            end,
            said,
            usage: Usage {
                input_tokens: number(tokens.input),
                output_tokens: number(tokens.output),
                estimated: tokens.estimated,
                fuel: number(fuel),
                wall_ms,
                memory_peak_bytes: number(self.meter.memory_peak()),
                host_calls: number(self.meter.host_calls()),
            },
            saw,
        })
    }

    /// The error by which a host call found that the record does not fit.
    fn diverged(&self) -> Option<&Error> {
        let Some(Ended::Faulted(Fault::Host(error))) = &self.ended else {
            return None;
        };
        let error = error.downcast_ref::<Error>()?;
        error.is(DIVERGED).then_some(error)
    }
}
