//! What guests see of models: `generate`, a recorded answer that is complete when its last chunk was taken. A
//! replayed run is given the recorded chunks one by one. Invariant: what was received is metered by the task that
//! reads the provider, so a guest that is dropped in the middle of a generation is billed for it all the same.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;
use time::OffsetDateTime;
use wasmtime::component::{HasData, Resource};

use super::clean::{self, Clean};
use super::recorded::{Answer, Recorded};

use super::{GenerateError, Models, Request, Resolved, convert};
use crate::billing::caps;
use crate::billing::{Gate, Meter, meter};
use crate::guardrails::redact::Counts;
use crate::guardrails::{At, Guard, Judge};
use crate::kit::trace::{Span, genai};
use crate::kit::{OrgId, Trace};
use crate::sandbox::bindings::bulkhead::agent::model as wit;
use crate::sandbox::journal::unreadable;
use crate::sandbox::{Blocked, Host, Intended, Intent, Journal, Repeat, Ticket};

/// How generations are called in the journal.
pub const KIND: &str = "model.generate";
/// The contract's bounds. Not configuration: what is refused here is never recorded, so it must not change between
/// two lives of a run.
const REQUEST_BYTES_MAX: usize = 1 << 20;

pub use super::recorded::{recorded_of, recorded_tokens};

/// What models keep of a run.
#[derive(Clone, Debug)]
pub struct Context {
    pub models: Models,
    pub org: OrgId,
    /// The alias of the agent's manifest, for requests that name none.
    pub alias: String,
    /// Counts the run's tokens; read by whoever ends the run.
    pub meter: Meter,
    /// The guardrails of the run.
    pub guard: Arc<Guard>,
    /// Who is asked about the arguments of tools, where somebody is.
    pub judge: Option<Judge>,
    /// What may forbid the run another generation.
    pub gate: Gate,
    /// The run in its trace.
    pub trace: Trace,
}

/// The models of a guest's organization, for one call.
pub struct View<'a> {
    pub context: &'a mut Context,
    pub host: &'a mut Host,
    pub journal: &'a mut dyn Journal,
}

pub struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

/// What stands behind a guest's `generation`.
#[derive(Debug)]
struct Generation {
    source: Source,
    /// Characters that were given out.
    given: u64,
    /// Its tokens are counted.
    counted: bool,
}

#[derive(Debug)]
enum Source {
    Replayed {
        recorded: Recorded,
        /// The end or the error was given: what follows is `none`.
        ended: bool,
        ended_at: OffsetDateTime,
    },
    Live {
        stream: Box<Clean>,
        taking: Taking,
    },
}

/// A generation under way. What was taken of it when its guest is gone is what the journal keeps of it.
#[derive(Debug)]
struct Taking {
    /// `None` once it is recorded.
    ticket: Option<Ticket>,
    taken: Recorded,
    span: Span,
}

impl Drop for Taking {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.taken.tell(&self.span);
            ticket.leave(json!({ "ok": self.taken }), true);
        }
    }
}

impl Taking {
    /// Records it, once.
    async fn record(&mut self, journal: &mut dyn Journal) -> wasmtime::Result<()> {
        let Some(ticket) = self.ticket.take() else {
            return Ok(());
        };
        self.taken.tell(&self.span);
        drop(std::mem::take(&mut self.span));
        let response = json!({ "ok": self.taken });
        journal
            .end(ticket, response, self.taken.error.is_none())
            .await
    }
}

impl wit::Host for View<'_> {
    async fn generate(
        &mut self,
        mut request: wit::Request,
    ) -> wasmtime::Result<Result<Resource<wit::Generation>, wit::Error>> {
        let bytes = serde_json::to_vec(&request)?.len();
        self.host.crossing(bytes)?;
        if bytes > REQUEST_BYTES_MAX {
            let text =
                format!("A request has at most {REQUEST_BYTES_MAX} bytes; this one has {bytes}.");
            return Ok(Err(wit::Error::Invalid(text)));
        }
        if let Err(error) = Request::from(request.clone()).check() {
            return Ok(Err(told(error)?));
        }
        clean::request(&self.context.guard, &mut request);
        let guarded = self.context.guard.generates(request.max_tokens);
        request.max_tokens = guarded.map_err(wasmtime::Error::new)?;
        self.begin(request).await
    }
}

impl View<'_> {
    /// A generation, recorded and metered like any; of the host's own too.
    pub async fn begin(
        &mut self,
        request: wit::Request,
    ) -> wasmtime::Result<Result<Resource<wit::Generation>, wit::Error>> {
        let alias = request
            .model
            .clone()
            .unwrap_or_else(|| self.context.alias.clone());
        let asked = json!({ "alias": alias, "request": request });
        let request = Request::from(request);
        let _at = self.host.at("model");
        let repeat = Repeat::Costs {
            input_tokens: meter::estimate(request.chars()),
        };
        let generation = match self.journal.intend(KIND, asked, repeat).await? {
            Intended::Recorded(answered) => {
                match serde_json::from_value(answered.response).map_err(unreadable)? {
                    Answer::Ok(recorded) => {
                        self.replayed(answered.seq, recorded, answered.ended_at)
                    }
                    Answer::Cap(dimension) => {
                        return Err(wasmtime::Error::new(caps::ends(dimension)));
                    }
                    Answer::Err(error) => {
                        self.journal.arrive(answered.ended_at);
                        return Ok(Err(error));
                    }
                }
            }
            Intended::Granted(intent) => match self.started(intent, &alias, request).await? {
                Ok(generation) => generation,
                Err(error) => return Ok(Err(error)),
            },
            Intended::Indeterminate(_) => {
                return Err(unreadable("a generation is never indeterminate"));
            }
        };
        let generation = self.host.table.push(Generation {
            source: generation,
            given: 0,
            counted: false,
        })?;
        Ok(Ok(Resource::new_own(generation.rep())))
    }
}

impl View<'_> {
    /// The next piece, recorded; guardrails have not seen it yet.
    pub async fn next_piece(
        &mut self,
        generation: Resource<wit::Generation>,
    ) -> wasmtime::Result<Result<Option<wit::Chunk>, wit::Error>> {
        let _at = self.host.at("model");
        let mine = Resource::<Generation>::new_borrow(generation.rep());
        let guard = Arc::clone(&self.context.guard);
        let mine = self.host.table.get_mut(&mine)?;
        let piece = match &mut mine.source {
            Source::Replayed {
                recorded,
                ended,
                ended_at,
            } => {
                let piece = recorded.give_out(ended)?;
                if *ended {
                    self.journal.arrive(*ended_at);
                }
                piece
            }
            Source::Live { stream, taking } => {
                let piece = stream.next(&guard).await?;
                if taking.taken.take_in(&piece) {
                    taking.taken.redacted = stream.redacted();
                    (taking.taken.cached_tokens, taking.taken.reasoning_tokens) = stream.parts();
                    taking.record(self.journal).await?;
                }
                piece
            }
        };
        Ok(piece)
    }
}

impl wit::HostGeneration for View<'_> {
    async fn next(
        &mut self,
        generation: Resource<wit::Generation>,
    ) -> wasmtime::Result<Result<Option<wit::Chunk>, wit::Error>> {
        let mine = Resource::<Generation>::new_borrow(generation.rep());
        let mut piece = self.next_piece(generation).await?;
        let generation = self.host.table.get_mut(&mine)?;
        let guarded = generation.guarded(&self.context.guard, &piece);
        guarded.map_err(wasmtime::Error::new)?;
        if let Ok(Some(wit::Chunk::ToolCall(call))) = &mut piece {
            self.judged(call).await?;
        }
        self.host.answer(
            piece
                .as_ref()
                .map_or(0, |chunk| chunk.as_ref().map_or(0, convert::bytes)),
        )?;
        Ok(piece)
    }

    /// A guest that has enough drops the generation: the provider's connection closes with the stream, and what was
    /// taken is the record.
    async fn drop(&mut self, generation: Resource<wit::Generation>) -> wasmtime::Result<()> {
        let mine = Resource::<Generation>::new_own(generation.rep());
        let mine = self.host.table.delete(mine)?;
        match mine.source {
            Source::Live { stream, mut taking } => {
                taking.taken.redacted = stream.redacted();
                drop(stream);
                taking.record(self.journal).await?;
            }
            Source::Replayed { ended_at, .. } => self.journal.arrive(ended_at),
        }
        let tokens = if mine.counted {
            0
        } else {
            meter::estimate(mine.given)
        };
        let guarded = self.context.guard.generated(tokens);
        guarded.map_err(wasmtime::Error::new)
    }
}

impl View<'_> {
    /// The arguments as guardrail components let them pass.
    async fn judged(&mut self, call: &mut wit::ToolCall) -> wasmtime::Result<()> {
        let Some(judge) = self.context.judge.clone().filter(Judge::is_needed) else {
            return Ok(());
        };
        let _at = self.host.at("guardrail");
        let arguments = std::mem::take(&mut call.arguments);
        let place = (At::Tool, Some(call.name.as_str()));
        call.arguments = judge.judge(&mut *self.journal, place, arguments).await?;
        Ok(())
    }

    async fn started(
        &mut self,
        intent: Intent,
        alias: &str,
        request: Request,
    ) -> wasmtime::Result<Result<Source, wit::Error>> {
        let Context {
            models,
            org,
            meter,
            trace,
            ..
        } = &*self.context;
        let prompt = trace.takes_content().then(|| convert::said(&request));
        let input_estimate = meter::estimate(request.chars());
        if let Some(dimension) = self.context.gate.refuses(meter, input_estimate).await? {
            let response = serde_json::to_value(Answer::Cap(dimension))?;
            self.journal
                .end(intent.into_ticket(), response, false)
                .await?;
            return Err(wasmtime::Error::new(caps::ends(dimension)));
        }
        let started = models
            .generate(*org, alias, request, (meter, &intent, trace))
            .await;
        let ticket = intent.into_ticket();
        match started {
            Ok((Resolved { connection, model }, mut stream)) => {
                let span = stream.take_span();
                if let Some(prompt) = prompt {
                    span.content(genai::INPUT_MESSAGES, || prompt);
                }
                let taken = Recorded {
                    connection,
                    model,
                    chunks: VecDeque::new(),
                    input_estimate,
                    error: None,
                    redacted: Counts::default(),
                    cached_tokens: 0,
                    reasoning_tokens: 0,
                };
                let ticket = Some(ticket);
                Ok(Ok(Source::Live {
                    stream: Box::new(Clean::new(stream, &self.context.guard)),
                    taking: Taking {
                        ticket,
                        taken,
                        span,
                    },
                }))
            }
            Err(error) => {
                let mut error = told(error)?;
                clean::error(&self.context.guard, &mut error);
                let response = serde_json::to_value(Answer::Err(error.clone()))?;
                self.journal.end(ticket, response, false).await?;
                Ok(Err(error))
            }
        }
    }

    /// Meters what an earlier life of the run received, once more: the run has one meter in each life.
    fn replayed(&mut self, seq: i32, recorded: Recorded, ended_at: OffsetDateTime) -> Source {
        let tokens = recorded.tokens();
        self.context.meter.again(recorded.of(seq), tokens);
        self.context.guard.redacted(At::Model, &recorded.redacted);
        Source::Replayed {
            recorded,
            ended: false,
            ended_at,
        }
    }
}

impl Generation {
    /// What the guardrails say of a piece, before the guest has it.
    fn guarded(
        &mut self,
        guard: &Guard,
        piece: &Result<Option<wit::Chunk>, wit::Error>,
    ) -> Result<(), Blocked> {
        match piece {
            Ok(Some(wit::Chunk::ToolCall(call))) => {
                self.given += convert::chars(&wit::Chunk::ToolCall(call.clone()));
                guard.asked_for(&call.name)
            }
            Ok(Some(wit::Chunk::Finish(finish))) => {
                self.counted = true;
                guard.generated(finish.usage.output_tokens)
            }
            Ok(Some(text)) => {
                self.given += convert::chars(text);
                Ok(())
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

/// What a guest is told; the host's own failure ends the run instead.
pub(super) fn told(error: GenerateError) -> wasmtime::Result<wit::Error> {
    wit::Error::try_from(error).map_err(wasmtime::Error::from)
}
