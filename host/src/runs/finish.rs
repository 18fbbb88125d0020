//! Ending a run: what happened becomes a state and a stop reason, and one transaction writes the terminal state, the
//! last event and the usage. Called once for each run, after its guest is gone.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::execute::{Ended, Stopped, Work, in_flight};
use super::log::change::End;
use super::log::event::Done;
use super::log::record::Rest;
use super::log::{Change, Event, StopCause, last_event, output_so_far};
use super::{Receipt, Runs, Usage, store};
use crate::billing::UsageRecord;
use crate::kit::Result;
use crate::sandbox::bindings::bulkhead::agent::types::{Failure, Outcome};
use crate::sandbox::wasi::{Log, Written};
use crate::sandbox::{Blame, Fault, Limit};

/// Text of an author's or a provider's error that is kept.
const MESSAGE_MAX: usize = 4 << 10;

/// How a run ended, in the words of the contract.
#[derive(Debug)]
pub struct Verdict {
    pub state: &'static str,
    pub stop_reason: &'static str,
    pub fault: Option<(Blame, String)>,
}

impl Runs {
    pub(super) async fn finish(&self, work: &Work, ended: Ended, log: Option<&Log>) {
        let verdict = verdict(&ended);
        if let Ended::Lost(error) = &ended {
            tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run was lost to the host");
        }
        if let Ended::Faulted(Fault::Host(error)) = &ended {
            tracing::error!(run = %work.row.run, error = format!("{error:#}"), "a host call failed");
        }
        let rest = work.record.rest();
        let mut written = self
            .write_end(work, &ended, verdict, (log, rest, false))
            .await;
        if let Err(error) = &written
            && work.record.live.is_broken()
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
        if let Err(error) = written {
            // The run stays open under this node's lease; the recovery job ends it.
            tracing::error!(run = %work.row.run, %error, cause = error.chain(), "a run's end was not written");
        }
    }

    async fn what_is_there(&self, work: &Work) -> Result<Rest> {
        let (db, org, run) = (&self.inner.db, work.row.org, work.row.run);
        let next_event = last_event(db, org, run.0).await? + 1;
        let text = output_so_far(db, org, run).await?;
        Ok(Rest {
            held: Vec::new(),
            next_event,
            text,
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
        let usage = usage(work, now);
        let receipt = receipt(work, ended, usage);
        let fault = verdict
            .fault
            .as_ref()
            .map(|(blame, message)| json!({ "blame": blame, "message": message }));
        let done = Event::Done(Box::new(Done {
            state: verdict.state,
            stop_reason: verdict.stop_reason.to_owned(),
            fault: fault.clone(),
            usage,
            receipt: receipt.clone(),
        }));
        let mut events = rest.held;
        events.push(done.store(rest.next_event, now)?);
        let end = End {
            state: verdict.state,
            stop_reason: verdict.stop_reason.to_owned(),
            output: rest.text,
            fault: fault.map(|fault| fault.to_string()),
            receipt: serde_json::to_string(&receipt)?,
            guest_log: log
                .and_then(guest_log)
                .map(|log| serde_json::to_string(&log))
                .transpose()?,
            events,
            at: now,
            closing,
            usage: usage_record(work, usage, now),
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
        metrics::counter!("bulkhead_runs_ended_total", "state" => verdict.state, "stop_reason" => verdict.stop_reason)
            .increment(1);
        metrics::histogram!("bulkhead_run_duration_seconds").record(usage.wall_ms as f64 / 1_000.0);
        Ok(())
    }
}

impl Verdict {
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

fn verdict(ended: &Ended) -> Verdict {
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
        Ended::Faulted(Fault::Trap(what)) => Verdict::failed("trap", Blame::Guest, what),
        Ended::Faulted(Fault::Host(_) | Fault::Full) | Ended::Lost(_) => {
            Verdict::host("the host failed; its log has the cause")
        }
        Ended::Stopped(stopped) => match stopped.cause {
            StopCause::Cancelled => Verdict {
                state: "cancelled",
                stop_reason: "cancelled",
                fault: None,
            },
            StopCause::Deadline => {
                Verdict::failed("deadline", Blame::Limit, "the run's time was up")
            }
            StopCause::Shutdown => Verdict::host("the host was stopped"),
        },
    }
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

fn usage(work: &Work, now: time::OffsetDateTime) -> Usage {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let tokens = work.tokens.total();
    let wall = (now - work.row.created_at).whole_milliseconds();
    Usage {
        input_tokens: number(tokens.input),
        output_tokens: number(tokens.output),
        estimated: tokens.estimated,
        fuel: number(work.meter.fuel()),
        wall_ms: i64::try_from(wall).unwrap_or(i64::MAX),
        memory_peak_bytes: number(work.meter.memory_peak()),
        host_calls: number(work.meter.host_calls()),
    }
}

pub(super) fn usage_record(work: &Work, usage: Usage, now: time::OffsetDateTime) -> UsageRecord {
    store::usage_record(&work.row, usage, now)
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
        fuel: i64::try_from(work.meter.fuel()).unwrap_or(i64::MAX),
        memory_peak_bytes: usage.memory_peak_bytes,
        usage,
        in_flight: in_flight(place),
    }
}

#[derive(Serialize)]
struct GuestLog {
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Written>,
}

fn guest_log(log: &Log) -> Option<GuestLog> {
    let kept = GuestLog {
        stdout: log.stdout.written(),
        stderr: log.stderr.written(),
        log: log.lines.written(),
    };
    (kept.stdout.is_some() || kept.stderr.is_some() || kept.log.is_some()).then_some(kept)
}

/// An error's text as it may be shown: bounded, without control characters.
fn clean(text: &str) -> String {
    let mut kept: String = text
        .chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    let mut end = MESSAGE_MAX.min(kept.len());
    while !kept.is_char_boundary(end) {
        end -= 1;
    }
    kept.truncate(end);
    kept
}
