//! Asking Stripe: forms over HTTPS, a bounded time, and an outcome that says what is known of it. Nothing here tries
//! again: whether that is safe, its caller decides.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use time::OffsetDateTime;

use super::super::provider::{Newcomer, Outcome, Report};
use super::Stripe;
use crate::kit::egress::{Egress, retry_after};
use crate::kit::secret::Forms;
use crate::kit::{OrgId, Secret};

/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// What is kept of an error's words.
const WORDS_MAX: usize = 300;
/// The member of a customer's metadata that names its organization.
const ORG: &str = "bulkhead_org";

#[derive(Debug)]
pub(super) struct Client {
    egress: Egress,
    base: Url,
    key: Secret,
    hidden: Forms,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(egress: Egress, (base, key): (Url, Secret), timeout_ms: u64) -> Self {
        Self {
            hidden: Forms::of(&key),
            egress,
            base,
            key,
            timeout: Duration::from_millis(timeout_ms),
        }
    }

    async fn post(&self, path: &str, form: &[(&str, String)], key: &str) -> Outcome<Value> {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = self
            .egress
            .client()
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("idempotency-key", key)
            .body(encoded(form));
        self.ask(request).await
    }

    async fn get(&self, path: &str, query: &[(&str, String)]) -> Outcome<Value> {
        let mut url = self.base.clone();
        url.set_path(path);
        url.query_pairs_mut().extend_pairs(query);
        self.ask(self.egress.client().get(url)).await
    }

    async fn ask(&self, request: RequestBuilder) -> Outcome<Value> {
        let request = request.bearer_auth(self.key.expose()).timeout(self.timeout);
        let response = match request.send().await {
            Ok(response) => response,
            // Nothing was sent.
            Err(error) if error.is_connect() => {
                return Outcome::Later {
                    said: self.words(&told(error)),
                    after: None,
                    away: true,
                };
            }
            Err(error) => return self.unknown(&told(error), false),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        match read(response).await {
            Ok(body) => self.judge(status, &headers, body),
            // What it did is said by its status alone.
            Err(_) if status.is_success() => Outcome::Done(Value::Null),
            Err(why) => self.unknown(&why, false),
        }
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, body: Value) -> Outcome<Value> {
        if status.is_success() {
            return Outcome::Done(body);
        }
        let message = body["error"]["message"].as_str().unwrap_or_default();
        let said = self.words(&format!("{}: {message}", status.as_u16()));
        match status.as_u16() {
            // The key, the rate, or another request under the same name: nothing was done by this one.
            401 | 403 | 409 | 429 => Outcome::Later {
                said,
                // A date is rare and means much the same wherever the clock stands.
                after: retry_after(headers, OffsetDateTime::UNIX_EPOCH)
                    .filter(|wait| *wait < Duration::from_secs(86_400)),
                away: matches!(status.as_u16(), 401 | 403),
            },
            400..=499 if is_duplicate(&body["error"]) => Outcome::Again,
            400..=499 => Outcome::Refused(said),
            _ => self.unknown(&said, true),
        }
    }

    fn unknown<T>(&self, said: &str, answered: bool) -> Outcome<T> {
        Outcome::Unknown {
            said: self.words(said),
            answered,
        }
    }

    /// Bounded, printable, and without the key, whoever repeats it.
    fn words(&self, text: &str) -> String {
        let text = self.hidden.hide(text.to_owned());
        let plain = text.chars().filter(|c| !c.is_control());
        plain.take(WORDS_MAX).collect()
    }
}

impl Stripe {
    pub(super) async fn meter_event(&self, report: &Report) -> Outcome<()> {
        let Some(event) = self.meters.get(&report.meter) else {
            let said = format!(
                "`billing.stripe.meters` names no meter for `{}`",
                report.meter
            );
            return Outcome::Later {
                said,
                after: None,
                away: false,
            };
        };
        let form = [
            ("event_name", event.clone()),
            ("identifier", report.id.to_string()),
            ("timestamp", report.at.unix_timestamp().to_string()),
            ("payload[stripe_customer_id]", report.customer.clone()),
            ("payload[value]", report.value.to_string()),
        ];
        let answer = self
            .client
            .post("/v1/billing/meter_events", &form, &report.key);
        answer.await.map(|_| Ok(()))
    }

    pub(super) async fn create_customer(&self, newcomer: &Newcomer) -> Outcome<String> {
        let form = [
            ("name", newcomer.slug.clone()),
            ("metadata[bulkhead_org]", newcomer.org.to_string()),
        ];
        let answer = self.client.post("/v1/customers", &form, &newcomer.key);
        answer.await.map(|made| {
            let id = made["id"].as_str().map(str::to_owned);
            id.ok_or("the customer that was made has no id")
        })
    }

    pub(super) async fn search_customer(&self, org: OrgId) -> Outcome<Option<String>> {
        let query = [
            ("query", format!("metadata['{ORG}']:'{org}'")),
            ("limit", "1".to_owned()),
        ];
        let answer = self.client.get("/v1/customers/search", &query).await;
        answer.map(|found| match found["data"].as_array() {
            Some(customers) => Ok(customers
                .first()
                .and_then(|customer| customer["id"].as_str())
                .map(str::to_owned)),
            None => Err("the answer to a search is no list"),
        })
    }
}

impl<T> Outcome<T> {
    /// What was done, read; an answer that cannot be is of unknown outcome.
    fn map<U>(self, read: impl FnOnce(T) -> Result<U, &'static str>) -> Outcome<U> {
        match self {
            Self::Done(done) => match read(done) {
                Ok(read) => Outcome::Done(read),
                Err(why) => Outcome::Unknown {
                    said: why.to_owned(),
                    answered: false,
                },
            },
            Self::Again => Outcome::Again,
            Self::Refused(said) => Outcome::Refused(said),
            Self::Later { said, after, away } => Outcome::Later { said, after, away },
            Self::Unknown { said, answered } => Outcome::Unknown { said, answered },
        }
    }
}

fn is_duplicate(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    error["code"] == "duplicate_meter_event"
        || (message.contains("already exists") && message.contains("identifier"))
}

/// What went wrong, with what caused it and without the address.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

async fn read(mut response: Response) -> Result<Value, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too large".to_owned());
        }
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

fn encoded(form: &[(&str, String)]) -> String {
    let mut url = Url::parse("form:x").expect("this is a URL");
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}
