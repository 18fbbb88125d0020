//! The journal of a run: every answer from outside the guest passes here and becomes a step. A run that has a past is
//! answered from it, step by step; a request that differs from the recorded one ends it, loudly. An effect is granted
//! only by a commit that has its intent, and everything before it, in the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use time::OffsetDateTime;

use super::log::step::{DIVERGED, Intention, Step, repeat_name, request_digest};
use super::log::{Record, Withdrawn};

use crate::billing::{self, Tokens, meter::estimate};
use crate::conversations::memory;
use crate::kit::Result;
use crate::models::guest::{recorded_of, recorded_tokens};
use crate::sandbox::{Answered, Begun, Intended, Intent, Journal, Left, Meter, Repeat, Ticket};

/// Generations are counted by what they brought.
const GENERATE: &str = "model.generate";

/// A step of an earlier life of the run.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub kind: String,
    pub request_digest: Vec<u8>,
    pub response: String,
    pub ended_at: OffsetDateTime,
    /// The row is as it was written.
    pub intact: bool,
}

/// An effect that an earlier life began. Where there is no step of its seq, its outcome is not recorded.
#[derive(Clone, Debug)]
pub struct Begin {
    pub kind: String,
    pub request_digest: Vec<u8>,
    pub started_at: OffsetDateTime,
    pub attempt: i32,
    /// What attempts that were lost with their host cost, estimated.
    pub lost: Tokens,
    /// It changes the world: nothing before it may be asked again.
    pub mutates: bool,
}

/// Everything earlier lives of a run left in the journal, by seq.
#[derive(Clone, Debug, Default)]
pub struct Past {
    pub steps: BTreeMap<i32, Recorded>,
    pub effects: BTreeMap<i32, Begin>,
}

/// The journal of one life of a run.
pub struct RunJournal {
    record: Arc<Record>,
    meter: Arc<Meter>,
    tokens: billing::Meter,
    past: Past,
    next: i32,
    pending: usize,
}

impl RunJournal {
    pub fn new(record: Arc<Record>, meter: Arc<Meter>, tokens: billing::Meter, past: Past) -> Self {
        remember(&tokens, &past);
        Self {
            record,
            meter,
            tokens,
            past,
            next: 1,
            pending: 0,
        }
    }

    /// The place the next call takes, and what an earlier life was answered there.
    fn look(&mut self, kind: &str, digest: &[u8]) -> Result<(i32, Option<Answered>)> {
        let seq = self.next;
        self.next += 1;
        self.tokens.called(kind);
        let Some(step) = self.past.steps.remove(&seq) else {
            return Ok((seq, None));
        };
        same(seq, (&step.kind, kind), &step.request_digest, digest)?;
        if !step.intact {
            return Err(DIVERGED.because(format!("Step {seq} was altered.")));
        }
        let response = serde_json::from_str(&step.response)
            .map_err(|_| DIVERGED.because(format!("Step {seq} cannot be read.")))?;
        let answered = Answered {
            seq,
            response,
            ended_at: step.ended_at,
        };
        Ok((seq, Some(answered)))
    }

    fn ticket(&mut self, seq: i32, kind: &'static str, request: Value) -> Ticket {
        self.pending += 1;
        Ticket {
            seq,
            kind,
            request,
            fuel_before: self.meter.fuel(),
            started_at: self.record.now(),
            left: None,
        }
    }

    async fn read(&mut self, kind: &'static str, request: Value) -> Result<Begun> {
        self.record.pause().await?;
        let digest = request_digest(kind, &request);
        let (seq, answered) = self.look(kind, &digest)?;
        let open = self.past.effects.remove(&seq);
        if let Some(answered) = answered {
            return Ok(Begun::Recorded(answered));
        }
        if let Some(open) = open {
            same(seq, (&open.kind, kind), &open.request_digest, &digest)?;
        }
        if let Some(later) = self.past.steps.keys().next() {
            return Err(DIVERGED.because(format!("There is no step {seq}, but a step {later}.")));
        }
        // What was said before a call that may take long is on its way before the call is.
        self.record.withdraw()?;
        self.record.flush().await?;
        Ok(Begun::Live(self.ticket(seq, kind, request)))
    }

    async fn effect(
        &mut self,
        kind: &'static str,
        request: Value,
        repeat: Repeat,
    ) -> Result<Intended> {
        self.record.pause().await?;
        let digest = request_digest(kind, &request);
        let (seq, answered) = self.look(kind, &digest)?;
        let open = self.past.effects.remove(&seq);
        if let Some(answered) = answered {
            return Ok(Intended::Recorded(answered));
        }
        if let Some(open) = &open {
            same(seq, (&open.kind, kind), &open.request_digest, &digest)?;
        }
        let withdrawn = self.record.withdraw()?;
        let mut ticket = self.ticket(seq, kind, request);
        if open.is_some() && repeat == Repeat::Unsafe {
            return Ok(Intended::Indeterminate(ticket));
        }
        let rewrites = !(self.past.steps.is_empty() && self.past.effects.is_empty());
        let lost = self.lost(seq, open.as_ref(), repeat, withdrawn)?;
        if let (Some(open), Repeat::Continues) = (&open, repeat) {
            ticket.started_at = open.started_at;
        }
        if matches!(repeat, Repeat::Costs { .. }) {
            ticket.left = Some(Arc::clone(&self.record) as Arc<dyn Left>);
        }
        let intention = Intention {
            seq,
            kind,
            request_digest: digest,
            request: ticket.request.to_string(),
            started_at: ticket.started_at,
            fuel_before: i64::try_from(ticket.fuel_before).unwrap_or(i64::MAX),
            repeat: repeat_name(repeat),
            attempt: open.map_or(1, |open| open.attempt + 1),
            lost,
            rewrites,
        };
        let proof = self.record.intend(intention).await?;
        let key = format!("{}-{seq}", self.record.key.run);
        Ok(Intended::Granted(Intent::new(ticket, key, proof)))
    }

    /// Forgets what stands behind an effect that is made again, and counts what is lost with it: the attempt whose
    /// host died, and generations that were answered after it.
    fn lost(
        &mut self,
        seq: i32,
        open: Option<&Begin>,
        repeat: Repeat,
        withdrawn: Withdrawn,
    ) -> Result<Tokens> {
        let behind = std::mem::take(&mut self.past);
        if let Some((effect, _)) = behind.effects.iter().find(|(_, effect)| effect.mutates) {
            let detail =
                format!("Step {seq} is not recorded, but the effect {effect} behind it is.");
            return Err(DIVERGED.because(detail));
        }
        let mut new = Tokens::default();
        if let (Some(_), Repeat::Costs { input_tokens }) = (open, repeat) {
            add(&mut new, input_tokens, estimate(withdrawn.chars));
        }
        for step in behind.steps.values().filter(|step| step.kind == GENERATE) {
            let tokens = recorded_tokens(&step.response);
            add(&mut new, tokens.input, tokens.output);
        }
        self.tokens.lost(seq, new);
        // Lost before: counted when this life began, and carried on by the row that is written now.
        for earlier in open.into_iter().chain(behind.effects.values()) {
            add(&mut new, earlier.lost.input, earlier.lost.output);
        }
        Ok(new)
    }
}

fn same(seq: i32, (was, asked): (&str, &str), recorded: &[u8], digest: &[u8]) -> Result<()> {
    if was == asked && recorded == digest {
        return Ok(());
    }
    let what = if was == asked {
        format!("Step {seq} asked `{was}` something else before.")
    } else {
        format!("Step {seq} was `{was}`, the guest asked `{asked}`.")
    };
    Err(DIVERGED.because(what))
}

fn add(sum: &mut Tokens, input: u64, output: u64) {
    sum.input = sum.input.saturating_add(input);
    sum.output = sum.output.saturating_add(output);
    sum.estimated |= input + output > 0;
}

/// Tells the meter what earlier lives used: what was lost, and what was answered and is to be answered again. Said
/// twice, it counts once.
pub fn remember(meter: &billing::Meter, past: &Past) {
    for (seq, effect) in &past.effects {
        meter.lost_before(*seq, effect.lost);
    }
    for (seq, step) in past.steps.iter().filter(|(_, step)| step.kind == GENERATE) {
        let (of, tokens) = recorded_of(*seq, &step.response);
        meter.before(of, tokens);
    }
}

impl Journal for RunJournal {
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>> {
        Box::pin(async move { self.read(kind, request).await.map_err(wasmtime::Error::new) })
    }

    fn intend<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
        repeat: Repeat,
    ) -> BoxFuture<'a, wasmtime::Result<Intended>> {
        Box::pin(async move {
            let intended = self.effect(kind, request, repeat).await;
            intended.map_err(wasmtime::Error::new)
        })
    }

    fn end<'a>(
        &'a mut self,
        ticket: Ticket,
        response: Value,
        ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>> {
        Box::pin(async move {
            let ended_at = self.record.now();
            self.pending = self.pending.saturating_sub(1);
            if ok && memory::writes(ticket.kind) {
                self.record.live.remember();
            }
            let step = Step::new(&ticket, &response, ok, ended_at);
            let kept = ticket.left.is_some();
            let written = self.record.step(step, kept).await;
            written.map_err(wasmtime::Error::new)?;
            self.meter.advance_to(ended_at);
            Ok(())
        })
    }

    fn arrive(&mut self, ended_at: OffsetDateTime) {
        self.meter.advance_to(ended_at);
    }

    fn pending(&self) -> usize {
        self.pending
    }
}
