//! The model built into the host: it answers by quoting the sentences of the request's passages that fit the question
//! best, each cited. It writes nothing of its own, says so, needs no network and gives the same answer every time.

use super::quote::{self, Quote};
use super::words::{SIGNATURE, echo, help};
use crate::billing::meter;
use crate::models::chat::{
    Chunk, Finish, FinishReason, GenerateError, Message, Part, Passage, Request, Role,
};
use crate::models::generate::Out;

pub(in crate::models) async fn answer(
    request: &Request,
    out: &mut Out,
) -> Result<(), GenerateError> {
    out.begin(request);
    let mut left = request
        .max_tokens
        .map_or(u64::MAX, |tokens| u64::from(tokens) * 4);
    let (mut written, mut reason) = (0, FinishReason::Stop);
    for mut piece in pieces(request) {
        let chars = piece.chars().count() as u64;
        if chars > left {
            piece = piece
                .chars()
                .take(usize::try_from(left).unwrap_or(usize::MAX))
                .collect();
            reason = FinishReason::MaxTokens;
        }
        let chars = chars.min(left);
        (written, left) = (written + chars, left - chars);
        if !piece.is_empty() {
            out.chunk(Chunk::Text(piece)).await?;
        }
        if reason == FinishReason::MaxTokens {
            break;
        }
    }
    out.chunk(Chunk::Finish(Finish {
        reason,
        input_tokens: meter::estimate(request.chars()),
        output_tokens: meter::estimate(written),
        cached_tokens: 0,
        reasoning_tokens: 0,
        // Its tokens are characters by definition: this is its own count.
        estimated: false,
    }))
    .await
}

/// The answer, in the pieces it is streamed in.
fn pieces(request: &Request) -> Vec<String> {
    let question = request
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::User)
        .map(Message::text)
        .unwrap_or_default();
    let Some(passages) = passages(request) else {
        return help(&question);
    };
    let quotes = quote::pick(&question, &passages);
    if quotes.is_empty() {
        return vec![
            format!(
                "I found nothing about {} in the knowledge.",
                echo(&question)
            ),
            format!("\n\n{SIGNATURE}"),
        ];
    }
    let mut pieces: Vec<String> = Vec::with_capacity(quotes.len() + 1);
    let mut before: Option<&Quote> = None;
    for quote in &quotes {
        pieces.push(format!("{}{quote}", quote.gap(before)));
        before = Some(quote);
    }
    pieces.push(format!("\n\n{SIGNATURE}"));
    pieces
}

/// What the request gives to answer from; `None` where it speaks of no passages at all. Where turns number their
/// passages alike, the latest turn's stand.
fn passages(request: &Request) -> Option<Vec<&Passage>> {
    let mut found: Option<Vec<&Passage>> = None;
    for message in request.messages.iter().rev() {
        for part in &message.parts {
            let Part::Passages(passages) = part else {
                continue;
            };
            let found = found.get_or_insert_default();
            for passage in passages {
                if found.iter().all(|known| known.number != passage.number) {
                    found.push(passage);
                }
            }
        }
    }
    found
}
