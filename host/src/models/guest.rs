//! What guests see of models: `generate`, a recorded answer that is complete when its last chunk was taken. A
//! replayed run is given the recorded chunks one by one. Invariant: what was received is metered by the task that
//! reads the provider, so a guest that is dropped in the middle of a generation is billed for it all the same.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use wasmtime::component::{HasData, Resource};

use super::{Chunk, GenerateError, Models, Request, Resolved, Stream, convert};
use crate::billing::caps::{self, Dimension};
use crate::billing::{Gate, Meter, Tokens, meter};
use crate::kit::OrgId;
use crate::sandbox::bindings::bulkhead::agent::model as wit;
use crate::sandbox::journal::{TookMore, unreadable};
use crate::sandbox::{Host, Intended, Intent, Journal, Repeat, Ticket};

/// How generations are called in the journal.
pub const KIND: &str = "model.generate";
/// The contract's bounds. Not configuration: what is refused here is never recorded, so it must not change between
/// two lives of a run.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What models keep of a run.
#[derive(Clone, Debug)]
pub struct Context {
    pub models: Models,
    pub org: OrgId,
    /// The alias of the agent's manifest, for requests that name none.
    pub alias: String,
    /// Counts the run's tokens; read by whoever ends the run.
    pub meter: Meter,
    /// What may forbid the run another generation.
    pub gate: Gate,
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

/// A generation as it is recorded.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    connection: String,
    model: String,
    chunks: VecDeque<wit::Chunk>,
    /// Tokens of the request, for a generation that has no count.
    input_estimate: u64,
    /// What broke it off.
    error: Option<wit::Error>,
    /// Parts of the provider's count that guests are not told.
    #[serde(default)]
    cached_tokens: u64,
    #[serde(default)]
    reasoning_tokens: u64,
}

/// The step's response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Recorded),
    Err(wit::Error),
    /// A cap of the organization forbade it, and ended the run.
    Cap(Dimension),
}

/// What stands behind a guest's `generation`.
#[derive(Debug)]
enum Generation {
    Replayed {
        recorded: Recorded,
        /// The end or the error was given: what follows is `none`.
        ended: bool,
        ended_at: OffsetDateTime,
    },
    Live {
        stream: Stream,
        taking: Taking,
    },
}

/// A generation under way. What was taken of it when its guest is gone is what the journal keeps of it.
#[derive(Debug)]
struct Taking {
    /// `None` once it is recorded.
    ticket: Option<Ticket>,
    taken: Recorded,
}

impl Drop for Taking {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
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
        let response = json!({ "ok": self.taken });
        journal
            .end(ticket, response, self.taken.error.is_none())
            .await
    }
}

impl wit::Host for View<'_> {
    async fn generate(
        &mut self,
        request: wit::Request,
    ) -> wasmtime::Result<Result<Resource<wit::Generation>, wit::Error>> {
        let bytes = serde_json::to_vec(&request)?.len();
        self.host.crossing(bytes)?;
        if bytes > REQUEST_BYTES_MAX {
            let text =
                format!("A request has at most {REQUEST_BYTES_MAX} bytes; this one has {bytes}.");
            return Ok(Err(wit::Error::Invalid(text)));
        }
        let alias = request
            .model
            .clone()
            .unwrap_or_else(|| self.context.alias.clone());
        let asked = json!({ "alias": alias, "request": request });
        let request = Request::from(request);
        if let Err(error) = request.check() {
            return Ok(Err(told(error)?));
        }
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
        let generation = self.host.table.push(generation)?;
        Ok(Ok(Resource::new_own(generation.rep())))
    }
}

impl wit::HostGeneration for View<'_> {
    async fn next(
        &mut self,
        generation: Resource<wit::Generation>,
    ) -> wasmtime::Result<Result<Option<wit::Chunk>, wit::Error>> {
        let _at = self.host.at("model");
        let mine = Resource::<Generation>::new_borrow(generation.rep());
        let piece = match self.host.table.get_mut(&mine)? {
            Generation::Replayed {
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
            Generation::Live { stream, taking } => {
                let piece = match stream.next().await {
                    Ok(chunk) => {
                        if let Some(Chunk::Finish(finish)) = &chunk {
                            taking.taken.cached_tokens = finish.cached_tokens;
                            taking.taken.reasoning_tokens = finish.reasoning_tokens;
                        }
                        Ok(chunk.map(wit::Chunk::from))
                    }
                    Err(error) => Err(told(error)?),
                };
                if taking.taken.take_in(&piece) {
                    taking.record(self.journal).await?;
                }
                piece
            }
        };
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
        match self.host.table.delete(mine)? {
            Generation::Live { stream, mut taking } => {
                drop(stream);
                taking.record(self.journal).await?;
            }
            Generation::Replayed { ended_at, .. } => self.journal.arrive(ended_at),
        }
        Ok(())
    }
}

impl View<'_> {
    async fn started(
        &mut self,
        intent: Intent,
        alias: &str,
        request: Request,
    ) -> wasmtime::Result<Result<Generation, wit::Error>> {
        let Context {
            models, org, meter, ..
        } = &*self.context;
        let input_estimate = meter::estimate(request.chars());
        if let Some(dimension) = self.context.gate.refuses(meter, input_estimate).await? {
            let response = serde_json::to_value(Answer::Cap(dimension))?;
            self.journal
                .end(intent.into_ticket(), response, false)
                .await?;
            return Err(wasmtime::Error::new(caps::ends(dimension)));
        }
        let started = models
            .generate(*org, alias, request, (meter, &intent))
            .await;
        let ticket = intent.into_ticket();
        match started {
            Ok((Resolved { connection, model }, stream)) => {
                let taken = Recorded {
                    connection,
                    model,
                    chunks: VecDeque::new(),
                    input_estimate,
                    error: None,
                    cached_tokens: 0,
                    reasoning_tokens: 0,
                };
                let ticket = Some(ticket);
                Ok(Ok(Generation::Live {
                    stream,
                    taking: Taking { ticket, taken },
                }))
            }
            Err(error) => {
                let error = told(error)?;
                let response = serde_json::to_value(Answer::Err(error.clone()))?;
                self.journal.end(ticket, response, false).await?;
                Ok(Err(error))
            }
        }
    }

    /// Meters what an earlier life of the run received, once more: the run has one meter in each life.
    fn replayed(&mut self, seq: i32, recorded: Recorded, ended_at: OffsetDateTime) -> Generation {
        self.context
            .meter
            .again(recorded.of(seq), recorded.tokens());
        Generation::Replayed {
            recorded,
            ended: false,
            ended_at,
        }
    }
}

impl Recorded {
    /// Keeps what was taken; `true` where nothing follows.
    fn take_in(&mut self, piece: &Result<Option<wit::Chunk>, wit::Error>) -> bool {
        match piece {
            Ok(Some(chunk)) => {
                self.chunks.push_back(chunk.clone());
                matches!(chunk, wit::Chunk::Finish(_))
            }
            Ok(None) => true,
            Err(error) => {
                self.error = Some(error.clone());
                true
            }
        }
    }

    /// The provider's count, or an estimate of what was received, flagged.
    fn tokens(&self) -> Tokens {
        let counted = self.chunks.iter().find_map(|chunk| match chunk {
            wit::Chunk::Finish(finish) => Some(&finish.usage),
            _ => None,
        });
        match counted {
            Some(usage) => Tokens {
                input: usage.input_tokens,
                output: usage.output_tokens,
                cached: self.cached_tokens,
                reasoning: self.reasoning_tokens,
                estimated: usage.estimated,
            },
            // Refused before anything was generated.
            None if self.chunks.is_empty() && self.error.is_some() => Tokens::default(),
            None => Tokens {
                input: self.input_estimate,
                output: meter::estimate(self.chunks.iter().map(convert::chars).sum()),
                estimated: true,
                ..Tokens::default()
            },
        }
    }

    fn of(&self, seq: i32) -> meter::Of {
        meter::Of {
            seq,
            connection: self.connection.clone(),
            model: self.model.clone(),
        }
    }

    /// The next recorded piece, in a replay.
    fn give_out(
        &mut self,
        ended: &mut bool,
    ) -> wasmtime::Result<Result<Option<wit::Chunk>, wit::Error>> {
        if *ended {
            return Ok(Ok(None));
        }
        let piece = match (self.chunks.pop_front(), self.error.take()) {
            (Some(chunk), error) => {
                self.error = error;
                Ok(Some(chunk))
            }
            (None, Some(error)) => Err(error),
            (None, None) => return Err(unreadable(TookMore)),
        };
        *ended = matches!(piece, Err(_) | Ok(Some(wit::Chunk::Finish(_))));
        Ok(piece)
    }
}

/// What a guest is told; the host's own failure ends the run instead.
fn told(error: GenerateError) -> wasmtime::Result<wit::Error> {
    wit::Error::try_from(error).map_err(wasmtime::Error::from)
}

/// The tokens of a recorded generation, as its step's response states them: for runs that are ended from their
/// journal alone.
pub fn recorded_tokens(response: &str) -> Tokens {
    recorded_of(0, response).1
}

/// The same, with what generated it.
pub fn recorded_of(seq: i32, response: &str) -> (meter::Of, Tokens) {
    match serde_json::from_str(response) {
        Ok(Answer::Ok(recorded)) => (recorded.of(seq), recorded.tokens()),
        _ => (
            meter::Of {
                seq,
                ..meter::Of::default()
            },
            Tokens::default(),
        ),
    }
}
