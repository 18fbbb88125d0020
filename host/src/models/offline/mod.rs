//! The model built into the host: it answers by quoting the sentences of the request's passages that fit the question
//! best, each cited. It writes nothing of its own, says so, needs no network and gives the same answer every time.

mod quote;
mod sentences;
mod terms;

use self::quote::Quote;
use super::chat::{
    Chunk, Finish, FinishReason, GenerateError, Message, Part, Passage, Request, Role,
};
use super::generate::Out;
use crate::billing::meter;

const SIGNATURE: &str =
    "— Quoted by Bulkhead's built-in offline model: it picks sentences and writes none of its own.";
/// What of a question is repeated to the one who asked it.
const ECHO_CHARS_MAX: usize = 120;

pub(super) async fn answer(request: &Request, out: &mut Out) -> Result<(), GenerateError> {
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

fn help(question: &str) -> Vec<String> {
    vec![
        format!("I read {}, but I cannot answer it: ", echo(question)),
        "I am Bulkhead's built-in offline model. ".to_owned(),
        "I only quote passages of knowledge that an agent gives me, and there are none here. "
            .to_owned(),
        "An agent that searches its knowledge gets quoted answers from me; for written ones, \
         connect a language model: `PUT /v1/orgs/{org}/model-connections/default`."
            .to_owned(),
    ]
}

/// The question in quotation marks, on one line, cut where it is long.
fn echo(question: &str) -> String {
    let line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "this".to_owned();
    }
    match line.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("“{}…”", &line[..end]),
        None => format!("“{line}”"),
    }
}
