//! The beginning itself: version, place, and the one write that makes the run a fact; then it is executed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::conversation::entry;
use super::{Admitted, Message, NewRun, Started};
use crate::agents::Resolved;
use crate::billing::Held;
use crate::guardrails::{self, Guard, Occurred, Rewrite, Violation, redact};
use crate::identity::Caller;
use crate::kit::trace::Span;
use crate::kit::{Code, Error, Result};
use crate::limits::Effective;
use crate::runs::life::execute::Work;
use crate::runs::log::record::Key;
use crate::runs::log::{Change, Event, Live, Record, Stored, notices, stream::Stream};
use crate::runs::store::NewRow;
use crate::runs::{RunId, Runs};

pub(super) const NOT_AN_AGENT: Code = Code::new("not_an_agent", 409, "The component is no agent");

/// Whose violation it is, and when.
pub(in crate::runs) fn occurred(row: &NewRow, at: OffsetDateTime) -> Occurred {
    Occurred {
        org: row.org,
        agent: row.agent.0,
        version: row.version,
        run: row.run.0,
        at,
    }
}

fn is_agent(resolved: &Resolved) -> Result<()> {
    if resolved.is_guardrail {
        let what =
            "It is a guardrail component: name it in an agent's guardrails as `component=…`.";
        return Err(NOT_AN_AGENT.because(what));
    }
    if resolved.is_provider {
        return Err(NOT_AN_AGENT.because("It only offers tools: start an agent."));
    }
    Ok(())
}

impl Runs {
    /// Starts a run of `agent`. `id` is given where the request may be a repeat.
    pub async fn start(
        &self,
        caller: &Caller,
        agent: &str,
        mut new: NewRun,
        id: Option<Uuid>,
    ) -> Result<Started> {
        self.may_take_runs().await?;
        let joined = self.conversation_of(caller, agent, &new).await?;
        let joined = joined.as_ref();
        let run: RunId = id.map_or_else(|| self.inner.ids.next(), RunId);
        let resolved = self.choose(caller, agent, (&new, joined, run)).await?;
        is_agent(&resolved)?;
        let version = (resolved.agent.0, resolved.version);
        let limits = self
            .inner
            .limits
            .effective(caller.org, Some(version))
            .await?;
        let mut asked = self.check(&new, &limits, joined)?;
        let mut messages = self.before(caller, joined).await?;
        let gates = (&resolved, &*limits);
        let (held, rewrites, admitted) = self
            .admit(caller, run, gates, (&messages, &mut asked, &mut new))
            .await?;
        let question = asked.last().map(|message| message.text.clone());
        messages.append(&mut asked);
        let live = Live::new(run);
        let events = Stream::from_birth(self.source(), (caller.org, run), &live);
        let (row, span) = self.row(
            caller,
            (&resolved, &limits),
            &new,
            (run, &messages, &admitted),
        )?;
        let started = Event::Started {
            run,
            agent: agent.to_owned(),
            version: resolved.version,
            channel: resolved.channel.map(str::to_owned),
        };
        let started = started.store(1, row.created_at)?;
        let notices = vec![notices::started(&row, agent, started.seq)];
        let entry = entry(&row, joined, question.as_deref().unwrap_or_default())?;
        let key = row.key();
        let guard = Guard::new(Arc::clone(&resolved.guardrails));
        let record = self.record(key, &live, std::slice::from_ref(&started), &guard);
        let violations = self.rewritten(&row, row.created_at, &rewrites);
        let mut work = Work::new(row.clone(), (resolved, limits), messages, record);
        work.gate = self.inner.billing.gate(caller.org, run.0, held);
        work.span = span;
        let begin = Change::Begin {
            live: Arc::clone(&live),
            row: Box::new(row),
            entry,
            started,
            violations,
            notices,
        };
        self.inner.live.insert(&live);
        // A task of its own: a client that goes away now must not leave a run that nobody executes.
        let (tell, told) = oneshot::channel();
        let runs = self.clone();
        self.inner
            .tasks
            .spawn(async move { runs.begin(begin, work, (admitted, held), tell).await });
        let told = told.await;
        let told = told.map_err(|_| Error::unavailable("The host is stopping."))?;
        if let Err(refused) = told {
            return Err(self.overtaken(caller, agent, (joined, refused)).await);
        }
        Ok(Started { run, live, events })
    }

    /// The guardrails of the entry. Nothing that may not be stored is left in the messages and what comes with them.
    async fn enter(
        &self,
        caller: &Caller,
        resolved: &Resolved,
        (messages, new): (&mut [Message], &mut NewRun),
    ) -> Result<Vec<Rewrite>> {
        let of = guardrails::Of {
            org: caller.org,
            agent: resolved.agent.0,
            version: resolved.version,
        };
        let texts = messages.iter_mut().map(|message| &mut message.text);
        let rules = &resolved.guardrails;
        let rewrites = self
            .inner
            .capabilities
            .guardrails
            .enter(of, rules, texts.collect())
            .await?;
        if let Some(metadata) = &mut new.metadata {
            let mut whole = Value::Object(std::mem::take(metadata));
            redact::json(
                redact::Set::SECRETS,
                &mut whole,
                &mut redact::Counts::default(),
            );
            if let Value::Object(clean) = whole {
                *metadata = clean;
            }
        }
        Ok(rewrites)
    }

    /// What was rewritten of a run, as rows.
    pub(in crate::runs) fn rewritten(
        &self,
        row: &NewRow,
        at: OffsetDateTime,
        rewrites: &[Rewrite],
    ) -> Vec<Violation> {
        let of = occurred(row, at);
        let rows = rewrites.iter();
        rows.map(|rewrite| Violation::rewritten(of, self.inner.ids.next(), rewrite))
            .collect()
    }

    /// The gates before a run, in their order: its organization's caps, the agent's guardrails, then places. What a later
    /// one refuses gives back what an earlier one took.
    async fn admit(
        &self,
        caller: &Caller,
        run: RunId,
        (resolved, limits): (&Resolved, &Effective),
        (before, messages, new): (&[Message], &mut [Message], &mut NewRun),
    ) -> Result<(Held, Vec<Rewrite>, Admitted)> {
        let (billing, org) = (&self.inner.billing, caller.org);
        let chars: usize = before
            .iter()
            .chain(&*messages)
            .map(|message| message.text.chars().count())
            .sum();
        let held = billing.admit(org, run.0, chars as u64).await?;
        let entered = self.enter(caller, resolved, (messages, new)).await;
        let admitted = entered.and_then(|rewrites| {
            let places = limits.each.concurrent_runs.value;
            let admitted = self.inner.admission.admit(org, places)?;
            Ok((rewrites, admitted))
        });
        match admitted {
            Ok((rewrites, admitted)) => Ok((held, rewrites, admitted)),
            Err(refused) => {
                billing.give_back(org, run.0, held).await;
                Err(refused)
            }
        }
    }

    /// The log of a run of this node that has said `said`.
    pub(in crate::runs) fn record(
        &self,
        key: Key,
        live: &Arc<Live>,
        said: &[Stored],
        guard: &Arc<Guard>,
    ) -> Arc<Record> {
        let inner = &self.inner;
        let with = (
            inner.writer.clone(),
            inner.clock.clone(),
            inner.tasks.clone(),
        );
        Record::new(key, Arc::clone(live), said, guard, with)
    }

    /// Makes the run durable, says so, and executes it.
    async fn begin(
        &self,
        begin: Change,
        work: Work,
        (admitted, held): (Admitted, Held),
        tell: oneshot::Sender<Result<()>>,
    ) {
        let live = Arc::clone(&work.record.live);
        let durable = match self.inner.writer.push(live.run.0.as_u128(), begin).await {
            Ok(durable) => durable.wait().await.map(drop),
            Err(error) => Err(error),
        };
        let begun = durable.is_ok();
        // A client that is gone hears nothing; its run goes on.
        let _ = tell.send(durable);
        if !begun {
            work.span.fail("not_started");
            self.inner.live.remove(&live);
            let (org, run) = (work.row.org, work.row.run.0);
            self.inner.billing.give_back(org, run, held).await;
            return;
        }
        metrics::counter!("bulkhead_runs_started_total").increment(1);
        self.execute(work, admitted).await;
    }

    /// Its row, and its first life in its trace.
    fn row(
        &self,
        caller: &Caller,
        (resolved, limits): (&Resolved, &Effective),
        new: &NewRun,
        (run, messages, admitted): (RunId, &[Message], &Admitted),
    ) -> Result<(NewRow, Span)> {
        let now = self.inner.clock.now();
        let wall = new.deadline_ms.unwrap_or(limits.each.wall_ms.value);
        let fuel = new.max_fuel.unwrap_or(limits.each.fuel.value);
        let mut row = NewRow {
            org: caller.org,
            run,
            agent: resolved.agent,
            version: resolved.version,
            channel: resolved.channel.map(str::to_owned),
            state: if matches!(admitted, Admitted::Now(_)) {
                "running"
            } else {
                "queued"
            },
            input: serde_json::to_string(&serde_json::json!({ "messages": messages }))?,
            metadata: new
                .metadata
                .as_ref()
                .map(serde_json::to_string)
                .transpose()?,
            seed: self.inner.ids.random().bytes(),
            deadline_at: now + Duration::from_millis(wall),
            fuel_max: i64::try_from(fuel).unwrap_or(i64::MAX),
            limits: Some(limits.digest),
            conversation: new.conversation_id,
            node: self.inner.node,
            created_by: caller.key,
            created_at: now,
            traceparent: None,
        };
        let span = self.begins(&mut row, &resolved.name, messages);
        Ok((row, span))
    }
}
