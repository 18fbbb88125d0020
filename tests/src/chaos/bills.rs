//! I5, by the provider's own books: what organizations are billed for calls that were heard is the provider's count, to
//! the token; a call whose host died is in the usage as well, as an estimate, once for each time it was made again.

use std::collections::{HashMap, HashSet};

use bulkhead::billing::meter::estimate;
use sqlx::FromRow;
use uuid::Uuid;

use super::cluster::patiently;
use super::round::Outcome;
use super::script::Script;
use super::stage::{Stage, key_of};
use crate::provider::Call;

/// One generation of a run that came to its end.
#[derive(Debug, FromRow)]
struct Generation {
    run_id: Uuid,
    tag: String,
    org: String,
    attempts: i32,
    request: String,
    /// What was heard, and whether it is an estimate.
    input: Option<i64>,
    output: Option<i64>,
    estimated: Option<bool>,
    /// What was lost with its hosts.
    lost_input: Option<i64>,
    lost_output: Option<i64>,
    lost_estimated: Option<bool>,
}

const GENERATIONS: &str =
    "select r.id as run_id, coalesce(r.metadata ->> 'chaos', '') as tag, o.slug as org,
    i.attempt as attempts, i.request::text as request,
    h.input_tokens as input, h.output_tokens as output, h.estimated,
    l.input_tokens as lost_input, l.output_tokens as lost_output, l.estimated as lost_estimated
  from runs r
  join organizations o on o.id = r.org_id
  join run_intents i on i.run_id = r.id and i.kind = 'model.generate'
  left join usage_steps h on h.run_id = r.id and h.seq = i.seq and not h.lost
  left join usage_steps l on l.run_id = r.id and l.seq = i.seq and l.lost
  where r.stop_reason = 'end_turn' order by r.id, i.seq";

/// What one organization used, in the provider's books and in ours.
#[derive(Debug, Default, PartialEq, Eq)]
struct Books {
    provider: (u64, u64),
    ours: (u64, u64),
    /// Calls nobody heard the end of: what the provider had sent, and what is billed for them.
    unheard: (u64, u64),
    lost: (u64, u64),
}

/// Compares the books.
pub(super) async fn check(
    stage: &Stage,
    scripts: &[Script],
    outcome: &mut Outcome,
) -> Result<(), String> {
    let generations: Vec<Generation> =
        patiently(|| sqlx::query_as(GENERATIONS).fetch_all(&stage.db)).await?;
    let calls = stage.provider.calls();
    let mut by_question: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in &calls {
        by_question.entry(&call.question).or_default().push(call);
    }
    let mut books: HashMap<&str, Books> = HashMap::new();
    let mut asked = Vec::new();
    for generation in &generations {
        let script = generation
            .tag
            .parse()
            .ok()
            .and_then(|n: usize| scripts.get(n));
        let question = script.and_then(|script| {
            let mut questions = script.questions.iter();
            questions.find(|question| generation.request.contains(question.as_str()))
        });
        let Some(question) = question else {
            stage.broken(format!("I5: nobody knows what {generation:?} asked"));
            continue;
        };
        let calls = by_question
            .get(question.as_str())
            .map_or(&[][..], Vec::as_slice);
        heard(
            stage,
            generation,
            calls,
            books.entry(&generation.org).or_default(),
        );
        made_again(stage, generation, question);
        asked.push(question.as_str());
        outcome.again += usize::try_from(generation.attempts - 1).unwrap_or_default();
    }
    // A run that was asked for twice, because an answer was lost, asks its questions twice.
    let known: HashSet<&str> = asked.into_iter().collect();
    for call in calls
        .iter()
        .filter(|call| known.contains(call.question.as_str()))
    {
        let key = call.authorization.as_deref().unwrap_or_default();
        let of = books.iter_mut().find(|(org, _)| *key == bearer(org));
        if let Some((_, books)) = of {
            books.unheard = (books.unheard.0 + call.input, books.unheard.1 + call.output);
        }
    }
    for (org, books) in &mut books {
        let heard = books.provider;
        books.unheard.0 = books.unheard.0.saturating_sub(heard.0);
        books.unheard.1 = books.unheard.1.saturating_sub(heard.1);
        stage.say(format!("{org}: {books:?}"));
        if books.provider != books.ours {
            stage.broken(format!(
                "I5: {org} was billed what the provider did not count: {books:?}"
            ));
        }
        let sums = [books.provider, books.ours, books.unheard, books.lost];
        for (sum, of) in outcome.tokens.iter_mut().zip(sums) {
            *sum += of.0 + of.1;
        }
    }
    sums(stage, &books).await
}

fn bearer(org: &str) -> String {
    format!("Bearer {}", key_of(org))
}

fn number(n: Option<i64>) -> u64 {
    u64::try_from(n.unwrap_or(0)).unwrap_or(u64::MAX)
}

/// A call that was heard is billed as it was counted, to the organization whose key it came with.
fn heard(stage: &Stage, generation: &Generation, calls: &[&Call], books: &mut Books) {
    let key = bearer(&generation.org);
    let mut own = calls
        .iter()
        .filter(|call| call.authorization.as_ref() == Some(&key));
    let counted = own
        .find(|call| call.is_whole)
        .map(|call| (call.input, call.output));
    let billed = (number(generation.input), number(generation.output));
    if generation.estimated != Some(false) || counted != Some(billed) {
        stage.broken(format!(
            "I5: run {} is billed {billed:?}, the provider counted {counted:?}: {generation:?}",
            generation.run_id
        ));
    }
    let counted = counted.unwrap_or_default();
    books.provider = (books.provider.0 + counted.0, books.provider.1 + counted.1);
    books.ours = (books.ours.0 + billed.0, books.ours.1 + billed.1);
    books.lost.0 += number(generation.lost_input);
    books.lost.1 += number(generation.lost_output);
}

/// A call that was made again is billed for each time its host died with it, and a call that was not, never.
fn made_again(stage: &Stage, generation: &Generation, question: &str) {
    let again = u64::try_from(generation.attempts - 1).unwrap_or_default();
    let least = again * estimate(question.chars().count() as u64);
    let billed = number(generation.lost_input);
    let sound = match generation.lost_estimated {
        Some(estimated) => again > 0 && estimated && billed >= least,
        None => again == 0,
    };
    if !sound {
        stage.broken(format!(
            "I5: {generation:?} was made again {again} times, which is at least {least} tokens"
        ));
    }
}

/// The rows of an organization's runs are those of their generations, and nothing else.
async fn sums(stage: &Stage, books: &HashMap<&str, Books>) -> Result<(), String> {
    let rows: Vec<(String, i64, i64)> = patiently(|| {
        sqlx::query_as(
            "select o.slug, sum(u.input_tokens)::bigint, sum(u.output_tokens)::bigint
             from usage_records u join organizations o on o.id = u.org_id join runs r on r.id = u.run_id
             where r.stop_reason = 'end_turn' group by o.slug",
        )
        .fetch_all(&stage.db)
    })
    .await?;
    for (org, input, output) in rows {
        let none = Books::default();
        let of = books.get(org.as_str()).unwrap_or(&none);
        let known = (of.ours.0 + of.lost.0, of.ours.1 + of.lost.1);
        if known != (number(Some(input)), number(Some(output))) {
            stage.broken(format!(
                "I5: the usage of {org} is {input} and {output} tokens, its generations are {of:?}"
            ));
        }
    }
    Ok(())
}
