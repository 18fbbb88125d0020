//! One attempt: the event as a signed POST, and what came of it. Bounded in time and in what is read; redirects are
//! failures; where it may connect to is `kit::egress`'s to say, at every connection.

use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, Url};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::outcome::{Attempt, Outcome};
use super::store::{Due, Leased};
use crate::kit::egress::{Refused, retry_after};
use crate::kit::secret::Forms;
use crate::kit::{Error, OrgId, Result, Secret};
use crate::ledger::outbox::EventId;
use crate::webhooks::sign::Signature;
use crate::webhooks::{Webhooks, schedule, sign};

/// How long the rest of an answer may take once its status is known.
const REPLY_WITHIN: Duration = Duration::from_secs(2);

/// The body of a delivery: the same bytes at every attempt.
#[derive(Serialize)]
struct Body<'a> {
    id: EventId,
    #[serde(rename = "type")]
    topic: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    org: OrgId,
    /// Where in its run's log it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i32>,
    data: &'a RawValue,
}

impl Webhooks {
    /// The secrets an endpoint's deliveries are signed with now, the newest first.
    pub(super) fn secrets(&self, endpoint: &Leased) -> Result<Vec<Secret>> {
        let context = endpoint.id.0.as_bytes();
        let mut secrets = vec![self.seal.open(context, &endpoint.secret_sealed)?];
        if let (Some(former), Some(until)) =
            (&endpoint.former_secret_sealed, endpoint.former_secret_until)
            && until > self.clock.now()
        {
            secrets.push(self.seal.open(context, former)?);
        }
        Ok(secrets)
    }

    /// Tries once and records what came of it; `true` where it was taken.
    pub(super) async fn deliver(
        &self,
        endpoint: &Leased,
        due: &Due,
        secrets: &[Secret],
    ) -> Result<bool> {
        let (at, began) = (self.clock.now(), Instant::now());
        let outcome =
            match tokio::time::timeout(self.config.timeout(), self.post(endpoint, due, secrets))
                .await
            {
                Ok(outcome) => outcome?,
                Err(_) => Outcome::failed(format!(
                    "no answer within {} s",
                    self.config.timeout().as_secs_f64()
                )),
            };
        let took = began.elapsed();
        let next_at = self.next_at(due, &outcome);
        let delivered = outcome.is_success();
        metrics::counter!("bulkhead_webhook_attempts_total", "outcome" => outcome.label())
            .increment(1);
        metrics::histogram!("bulkhead_webhook_attempt_seconds").record(took.as_secs_f64());
        if delivered && due.attempts == 0 {
            let lag = self.clock.now() - due.at;
            metrics::histogram!("bulkhead_webhook_lag_seconds")
                .record(lag.as_seconds_f64().max(0.0));
        }
        let attempt = Attempt {
            org: endpoint.org,
            endpoint: endpoint.id,
            event: due.event,
            topic: due.topic.clone(),
            number: due.attempts + 1,
            at,
            took_ms: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
            next_at,
            outcome,
        };
        let key = endpoint.id.0.as_u128();
        self.writer.push(key, attempt).await?.wait().await?;
        Ok(delivered)
    }

    async fn post(&self, endpoint: &Leased, due: &Due, secrets: &[Secret]) -> Result<Outcome> {
        let data = RawValue::from_string(due.data.clone())?;
        let body = serde_json::to_vec(&Body {
            id: due.event,
            topic: &due.topic,
            timestamp: due.at,
            org: endpoint.org,
            seq: due.seq,
            data: &data,
        })?;
        let id = due.event.to_string();
        let seconds = self.clock.now().unix_timestamp();
        let signature = Signature::named(&endpoint.signature);
        let (header, signed) = signature.header(&id, seconds, &body, secrets);
        let url = Url::parse(&endpoint.url).map_err(Error::internal)?;
        let request = match self.egress.post(url) {
            Ok(request) => request,
            Err(refused) => return Ok(Outcome::refused(&refused)),
        };
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header(header, signed)
            .body(body);
        Ok(match request.send().await {
            Ok(response) => self.answered(response, secrets).await,
            Err(error) => match Refused::among(&error) {
                Some(refused) => Outcome::refused(refused),
                None if error.is_connect() => Outcome::failed("could not connect"),
                None => Outcome::failed("the connection broke off before an answer"),
            },
        })
    }

    async fn answered(&self, response: Response, secrets: &[Secret]) -> Outcome {
        let status = response.status();
        let asked = retry_after(response.headers(), self.clock.now());
        let reply = without(secrets, self.reply(response).await, self.config.reply_bytes);
        let most = Duration::from_millis(self.config.retry_after_max_ms);
        let error = match status.as_u16() {
            200..300 => None,
            300..400 => Some("it answered with a redirect, which is not followed".to_owned()),
            410 => Some("it answered 410 Gone".to_owned()),
            code => Some(format!("it answered {code}")),
        };
        Outcome {
            status: Some(status.as_u16()),
            error,
            reply: (!reply.is_empty()).then_some(reply),
            asked: asked.map(|asked| asked.min(most)),
            was_refused: false,
        }
    }

    /// The start of an answer; the rest is not read, and its connection closed.
    async fn reply(&self, mut response: Response) -> String {
        let most = self.config.reply_bytes;
        let mut bytes = Vec::new();
        let read = async {
            while bytes.len() < most
                && let Ok(Some(some)) = response.chunk().await
            {
                let room = most - bytes.len();
                bytes.extend_from_slice(&some[..some.len().min(room)]);
            }
        };
        // The status is the answer: one that goes on without end is cut off.
        let _ = tokio::time::timeout(REPLY_WITHIN, read).await;
        // What PostgreSQL's text cannot hold.
        String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
    }

    fn next_at(&self, due: &Due, outcome: &Outcome) -> Option<OffsetDateTime> {
        if outcome.is_success() || outcome.is_gone() {
            return None;
        }
        let failed = usize::try_from(due.step + 1).unwrap_or(usize::MAX);
        let chance = u16::from_be_bytes(self.ids.random().bytes());
        let wait = schedule::wait(failed, chance, outcome.asked)?;
        Some(self.clock.now() + wait)
    }
}

/// A receiver knows its secret, and its reply is shown to more people than the secret was.
fn without(secrets: &[Secret], reply: String, most: usize) -> String {
    let is_cut = reply.len() >= most;
    secrets.iter().fold(reply, |reply, secret| {
        let forms = Forms::of(&sign::bare(secret));
        let mut reply = forms.hide(reply);
        if is_cut {
            reply.truncate(reply.len() - forms.begun(&reply));
        }
        reply
    })
}
