//! A generation, live: its I/O runs in a task of the control runtime and reaches the caller through a small queue.
//! Dropping the `Stream` aborts the task and with it the provider's socket. Tokens are metered by the task as they
//! are received, whatever becomes of the caller.

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::resolve::Target;
use super::{Chunk, Finish, GenerateError, Models, Request, Resolved, offline};
use crate::billing::{Generation, Meter, Tokens, meter};
use crate::kit::trace::{Span, genai};
use crate::kit::{OrgId, Trace};
use crate::sandbox::Intent;

/// Pieces that wait for their reader before the provider's stream is no longer read.
const CHUNKS_QUEUED: usize = 4;

type Piece = Result<Chunk, GenerateError>;

/// A generation in progress.
#[derive(Debug)]
pub struct Stream {
    chunks: mpsc::Receiver<Piece>,
    ended: bool,
    /// The generation in the run's trace; ends with this.
    span: Span,
    _task: AbortOnDropHandle<()>,
}

impl Stream {
    /// The generation in the run's trace: whoever takes the pieces says what became of it.
    pub(super) fn take_span(&mut self) -> Span {
        std::mem::take(&mut self.span)
    }

    /// The next piece; `None` after the end and after an error.
    pub async fn next(&mut self) -> Result<Option<Chunk>, GenerateError> {
        if self.ended {
            return Ok(None);
        }
        let piece = self
            .chunks
            .recv()
            .await
            .unwrap_or_else(|| Err(interrupted()));
        self.ended = matches!(piece, Ok(Chunk::Finish(_)) | Err(_));
        piece.map(Some)
    }
}

impl Models {
    /// Starts a generation: answers once the alias is resolved; what the provider says comes from the stream. It costs
    /// money, so the run's intent to do it is durable before.
    pub async fn generate(
        &self,
        org: OrgId,
        alias: &str,
        request: Request,
        (meter, intent, trace): (&Meter, &Intent, &Trace),
    ) -> Result<(Resolved, Stream), GenerateError> {
        request.check()?;
        let (tell, told) = oneshot::channel();
        let (go, taken) = oneshot::channel::<()>();
        let (send, chunks) = mpsc::channel(CHUNKS_QUEUED);
        let (models, alias, trace) = (self.clone(), alias.to_owned(), trace.clone());
        let mut out = Out {
            chunks: send,
            meter: meter.clone(),
            of: meter::Of {
                seq: intent.seq(),
                ..meter::Of::default()
            },
            generation: None,
        };
        let task = AbortOnDropHandle::new(self.tasks.spawn(async move {
            let target = match models.resolve_patiently(org, &alias).await {
                Ok((resolved, mut target)) => {
                    let span = trace.child(|| genai::chat(&resolved.model, &target.provider()));
                    target.stands_in(&span.trace());
                    tell.send(Ok((resolved.clone(), span)))
                        .map(|()| (resolved, target))
                }
                Err(error) => return drop(tell.send(Err(error))),
            };
            let Ok((resolved, target)) = target else {
                return;
            };
            // Nobody is asked before the guest's side holds what it leaves: a guest that is dropped in this moment would be
            // metered for an answer that its journal knows nothing of.
            if taken.await.is_err() {
                return;
            }
            out.of.connection.clone_from(&resolved.connection);
            out.of.model.clone_from(&resolved.model);
            if let Err(error) = models
                .answer(&resolved.model, target, request, &mut out)
                .await
            {
                // A reader that went away needs no error.
                let _ = out.chunks.send(Err(error)).await;
            }
        }));
        let (resolved, span) = told.await.map_err(|_| interrupted())??;
        // Nothing waits from here until the caller keeps the stream with its ticket.
        let _ = go.send(());
        let stream = Stream {
            chunks,
            ended: false,
            span,
            _task: task,
        };
        Ok((resolved, stream))
    }

    async fn answer(
        &self,
        model: &str,
        target: Target,
        request: Request,
        out: &mut Out,
    ) -> Result<(), GenerateError> {
        match target {
            Target::Offline => offline::answer(&request, out).await,
            Target::OpenAi(endpoint) => {
                let limit = self.config.total();
                let work = self.openai.answer(&endpoint, model, request, out);
                tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                    let text = format!("The generation took longer than {} s.", limit.as_secs());
                    Err(GenerateError::Broken(text))
                })
            }
        }
    }
}

fn interrupted() -> GenerateError {
    GenerateError::Broken("The generation was interrupted.".into())
}

/// Where a generation's pieces go: counted first, then queued.
pub(super) struct Out {
    chunks: mpsc::Sender<Piece>,
    meter: Meter,
    of: meter::Of,
    generation: Option<Generation>,
}

impl Out {
    /// From here the provider may be at work, and its input counts.
    pub(super) fn begin(&mut self, request: &Request) {
        let input_estimate = meter::estimate(request.chars());
        self.generation = Some(self.meter.begin(self.of.clone(), input_estimate));
    }

    /// The provider did nothing for this request.
    pub(super) fn nothing_used(&mut self) {
        if let Some(generation) = self.generation.take() {
            self.meter.settle(generation, Tokens::default());
        }
    }

    pub(super) async fn chunk(&mut self, chunk: Chunk) -> Result<(), GenerateError> {
        match (&chunk, self.generation) {
            (Chunk::Finish(finish), Some(generation)) => {
                self.meter.settle(generation, finish.tokens())
            }
            (chunk, Some(generation)) => self.meter.output(generation, chunk.chars()),
            (_, None) => {}
        }
        self.chunks.send(Ok(chunk)).await.map_err(|_| interrupted())
    }
}

impl Finish {
    fn tokens(&self) -> Tokens {
        Tokens {
            input: self.input_tokens,
            output: self.output_tokens,
            cached: self.cached_tokens,
            reasoning: self.reasoning_tokens,
            estimated: self.estimated,
        }
    }
}
