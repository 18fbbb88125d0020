//! Ending a run: what happened becomes a state and a stop reason, and one transaction writes the terminal state, the
//! last event and the usage. Called once for each run, after its guest is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use time::OffsetDateTime;

use super::execute::{Ended, Stopped, Work, in_flight};
use super::kept::{answer, clean, guest_log, kept};
use super::traced;
use crate::billing::caps::{self, CAP_REACHED, Dimension};
use crate::billing::meter::KNOWLEDGE;
use crate::billing::{Bill, UsageRecord};
use crate::guardrails::{At, Guard, Violation};
use crate::kit::{Error, Result};
use crate::runs::log::change::{End, FENCED};
use crate::runs::log::event::Done;
use crate::runs::log::record::Rest;
use crate::runs::log::step::DIVERGED;
use crate::runs::log::tool_calls;
use crate::runs::log::{Change, Event, StopCause, all_events, notices, text_of};
use crate::runs::start::occurred;
use crate::runs::{Receipt, Runs, Usage, store};
use crate::sandbox::bindings::bulkhead::agent::types::{Failure, Outcome};
use crate::sandbox::wasi::Log;
use crate::sandbox::{Blame, Blocked, Fault, Limit};

/// The state of a run that a guardrail ended.
const BLOCKED: &str = "blocked";

const FAILED: &str = "the host failed; its log has the cause";

/// How a run ended, in the words of the contract.
#[derive(Debug)]
pub struct Verdict {
    pub state: &'static str,
    pub stop_reason: &'static str,
    pub fault: Option<(Blame, String)>,
}

impl Runs {
    pub(super) async fn finish(&self, work: &Work, ended: Ended, log: Option<&Log>) {
        if let Ended::Lost(error) = &ended {
            tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run was lost to the host");
        }
        if let Ended::Faulted(Fault::Host(error)) = &ended
            && cap(error).is_none()
        {
            tracing::error!(run = %work.row.run, error = format!("{error:#}"), "a host call failed");
        }
        let rest = match work.record.rest() {
            Ok(rest) => rest,
            Err(error) => {
                tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run's end was not written");
                return;
            }
        };
        let verdict = match &ended {
            Ended::Returned(_) if rest.unsaid => {
                tracing::error!(run = %work.row.run, "a run came to its end without what it had said before");
                Verdict::host("diverged: The run did not say again what it had said.")
            }
            ended => verdict(ended),
        };
        let mut written = self
            .write_end(work, &ended, verdict, (log, rest, false))
            .await;
        if let Err(error) = &written
            && work.record.live.is_broken()
            && !error.is(FENCED)
        {
            // A write was lost: the log ends after the last event that is there.
            tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run's log is incomplete");
            let verdict = Verdict::host("the host could not store what the run said");
            written = match self.what_is_there(work).await {
                Ok(rest) => {
                    self.write_end(work, &ended, verdict, (log, rest, true))
                        .await
                }
                Err(error) => Err(error),
            };
        }
        match written {
            Ok(()) => {}
            Err(error) if error.is(FENCED) => {
                traced::left(work, "lost");
                tracing::warn!(run = %work.row.run, "a run ended here that another host has by now");
            }
            Err(error) => {
                // The run stays open under this node's lease; the recovery job goes on with it.
                traced::left(work, "lost");
                tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run's end was not written");
            }
        }
    }

    /// What the run used, and the rows that say so: the same tokens in both.
    fn bill(
        &self,
        work: &Work,
        (state, tool_calls): (&'static str, i64),
        now: OffsetDateTime,
    ) -> (Usage, Bill) {
        let entries = work.tokens.entries();
        let mut usage = usage(work, now);
        let asked = work
            .past
            .steps
            .values()
            .filter(|step| step.kind == KNOWLEDGE);
        let asked = work.tokens.knowledge_queries().max(asked.count() as u64);
        let record = UsageRecord {
            state,
            tool_calls,
            knowledge_queries: i64::try_from(asked).unwrap_or(i64::MAX),
            ..store::usage_record(&work.row, usage, now)
        };
        let bill = Bill::new(self.inner.billing.prices(), record, entries);
        usage.input_tokens = bill.run.input_tokens;
        usage.output_tokens = bill.run.output_tokens;
        usage.estimated = bill.run.estimated;
        (usage, bill)
    }

    async fn what_is_there(&self, work: &Work) -> Result<Rest> {
        let said = all_events(&self.inner.db, work.row.org, work.row.run).await?;
        Ok(Rest {
            held: Vec::new(),
            next_event: said.last().map_or(0, |event| event.seq) + 1,
            text: text_of(&said),
            steps: Vec::new(),
            unsaid: false,
            tool_calls: tool_calls(said.iter()),
        })
    }

    /// One transaction: the last events, the terminal state, the usage. Earlier writes of the run are ahead of it in
    /// its lane, so it is durable only after them.
    async fn write_end(
        &self,
        work: &Work,
        ended: &Ended,
        verdict: Verdict,
        (log, rest, closing): (Option<&Log>, Rest, bool),
    ) -> Result<()> {
        let now = self.inner.clock.now();
        let guard = work.record.guard();
        let mut verdict = verdict;
        verdict.clean(&guard);
        let (usage, bill) = self.bill(work, (verdict.state, rest.tool_calls), now);
        let receipt = receipt(work, ended, usage);
        let fault = verdict
            .fault
            .as_ref()
            .map(|(blame, message)| json!({ "blame": blame, "message": message }));
        let by = match ended {
            Ended::Faulted(Fault::Blocked(by)) if verdict.state == BLOCKED => Some(&**by),
            _ => None,
        };
        let done = Event::Done(Box::new(Done {
            state: verdict.state,
            stop_reason: verdict.stop_reason.to_owned(),
            fault: fault.clone(),
            usage,
            receipt: receipt.clone(),
        }));
        let mut events = rest.held;
        events.push(done.store(rest.next_event, now)?);
        let how = (verdict.state, verdict.stop_reason);
        let agent = &work.resolved.name;
        let told = notices::ended(&work.row, agent, how, (now, rest.next_event), &usage);
        let place = (now, rest.next_event);
        let flagged = by.map(|by| notices::flagged(&work.row, agent, by, place));
        let answer = answer(work, (&rest.text, verdict.stop_reason), now)?;
        let said = work.span.content_of(&rest.text);
        let end = End {
            state: verdict.state,
            stop_reason: verdict.stop_reason.to_owned(),
            output: rest.text,
            fault: fault.map(|fault| fault.to_string()),
            receipt: serde_json::to_string(&receipt)?,
            guest_log: log
                .and_then(guest_log)
                .map(|log| kept(&log, &guard))
                .transpose()?,
            events,
            steps: rest.steps,
            at: now,
            closing,
            bill,
            holds: work.gate.holds(),
            blocked: by.map(serde_json::to_string).transpose()?,
            violations: self.violations(work, now, by),
            answer,
            notices: told.into_iter().chain(flagged).collect(),
        };
        let change = Change::End {
            key: work.record.key,
            live: Arc::clone(&work.record.live),
            end: Box::new(end),
        };
        self.inner
            .writer
            .push(work.row.run.0.as_u128(), change)
            .await?
            .wait()
            .await?;
        traced::ended(work, how, (&usage, said));
        metrics::counter!("bulkhead_runs_ended_total", "state" => verdict.state, "stop_reason" => verdict.stop_reason)
            .increment(1);
        metrics::histogram!("bulkhead_run_duration_seconds").record(usage.wall_ms as f64 / 1_000.0);
        Ok(())
    }
}

impl Runs {
    /// What guardrails did to the run, as rows.
    fn violations(&self, work: &Work, at: OffsetDateTime, by: Option<&Blocked>) -> Vec<Violation> {
        let mut rows = self.rewritten(&work.row, at, &work.record.guard().rewrites());
        if let Some(by) = by {
            let of = occurred(&work.row, at);
            rows.push(Violation::blocked(of, self.inner.ids.next(), by));
        }
        rows
    }
}

impl Verdict {
    /// What is said of a failure may hold the guest's words, or a provider's.
    pub fn clean(&mut self, guard: &Guard) {
        if let Some((_, message)) = &mut self.fault {
            guard.clean(At::Log, message);
        }
    }

    fn completed(stop_reason: &'static str) -> Self {
        Self {
            state: "completed",
            stop_reason,
            fault: None,
        }
    }

    fn failed(stop_reason: &'static str, blame: Blame, message: &str) -> Self {
        Self {
            state: "failed",
            stop_reason,
            fault: Some((blame, clean(message))),
        }
    }

    fn host(message: &str) -> Self {
        Self::failed("host_error", Blame::Host, message)
    }
}

/// What an end is called.
pub fn verdict(ended: &Ended) -> Verdict {
    match ended {
        Ended::Returned(Ok(Outcome::EndTurn)) => Verdict::completed("end_turn"),
        Ended::Returned(Ok(Outcome::MaxTokens)) => Verdict::completed("max_tokens"),
        Ended::Returned(Ok(Outcome::MaxIterations)) => Verdict::completed("max_iterations"),
        Ended::Returned(Err(Failure::Model(what))) => {
            Verdict::failed("model_error", Blame::Host, what)
        }
        Ended::Returned(Err(Failure::Agent(what))) => {
            Verdict::failed("guest_error", Blame::Guest, what)
        }
        Ended::Faulted(Fault::Limit(limit)) => {
            Verdict::failed(limit_reason(*limit), Blame::Limit, &limit.to_string())
        }
        Ended::Faulted(Fault::Blocked(by)) => Verdict {
            state: BLOCKED,
            stop_reason: by.stop_reason,
            fault: None,
        },
        Ended::Faulted(Fault::Trap(what)) => Verdict::failed("trap", Blame::Guest, what),
        Ended::Faulted(Fault::Host(error)) => match error.downcast_ref::<Error>() {
            Some(told) if told.is(CAP_REACHED) => match cap(error) {
                Some(cap) => Verdict::failed(cap.stop_reason(), Blame::Limit, &told.detail),
                None => Verdict::host(FAILED),
            },
            Some(diverged) if diverged.is(DIVERGED) => {
                Verdict::host(&format!("diverged: {}", diverged.detail))
            }
            _ => Verdict::host(FAILED),
        },
        Ended::Faulted(Fault::Full | Fault::Away(_)) | Ended::Lost(_) => Verdict::host(FAILED),
        Ended::Refused(why) => Verdict::host(why),
        Ended::Stopped(stopped) => match stopped.cause {
            StopCause::Cancelled => Verdict {
                state: "cancelled",
                stop_reason: "cancelled",
                fault: None,
            },
            StopCause::Deadline => {
                Verdict::failed("deadline", Blame::Limit, "the run's time was up")
            }
            StopCause::Shutdown | StopCause::Lost => Verdict::host(FAILED),
        },
    }
}

/// The cap that ended a guest in the middle.
pub fn cap(error: &wasmtime::Error) -> Option<Dimension> {
    caps::reached_of(error.downcast_ref::<Error>()?)
}

/// Every limit has a stop reason of its own.
fn limit_reason(limit: Limit) -> &'static str {
    match limit {
        Limit::Fuel => "fuel",
        Limit::Memory => "memory",
        Limit::TableElements => "table_elements",
        Limit::CoreInstances => "core_instances",
        Limit::Memories => "memories",
        Limit::Tables => "tables",
        Limit::HostCalls => "host_calls",
        Limit::CrossingPerCall | Limit::CrossingPerRun | Limit::Answer => "crossing",
        Limit::Handles => "handles",
        Limit::Output => "output",
        Limit::Epoch => "deadline",
    }
}

/// What the run used. A life that was stopped before it came as far as an earlier one used what that one did.
pub(super) fn usage(work: &Work, now: OffsetDateTime) -> Usage {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (tokens, before) = (work.tokens.total(), &work.used);
    let wall = (now - work.row.created_at).whole_milliseconds();
    let (input, output) = (number(tokens.input), number(tokens.output));
    let short = before.input_tokens > input || before.output_tokens > output;
    Usage {
        input_tokens: input.max(before.input_tokens),
        output_tokens: output.max(before.output_tokens),
        estimated: tokens.estimated || (short && before.estimated),
        fuel: number(work.meter.fuel()).max(before.fuel),
        wall_ms: i64::try_from(wall).unwrap_or(i64::MAX),
        memory_peak_bytes: number(work.meter.memory_peak()).max(before.memory_peak_bytes),
        host_calls: number(work.meter.host_calls()).max(before.host_calls),
    }
}

fn receipt(work: &Work, ended: &Ended, usage: Usage) -> Receipt {
    let (times, place) = match ended {
        Ended::Stopped(Stopped {
            requested_at,
            observed_at,
            stopped_at,
            place,
            ..
        }) => (
            (Some(*requested_at), Some(*observed_at), Some(*stopped_at)),
            *place,
        ),
        _ => ((None, None, None), "finishing"),
    };
    Receipt {
        requested_at: times.0,
        observed_at: times.1,
        stopped_at: times.2,
        place: place.to_owned(),
        fuel: usage.fuel,
        memory_peak_bytes: usage.memory_peak_bytes,
        usage,
        in_flight: in_flight(place),
        escalated: work.escalated.load(Ordering::Relaxed),
    }
}
