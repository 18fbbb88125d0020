//! Why a try brought no answer, and what follows: whether it is tried again and after what wait, whether the
//! provider may have worked for it, and what the guest is told.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

use time::OffsetDateTime;

use super::super::{Config, GenerateError};
use super::scrub::Scrub;
use crate::kit::Random;
use crate::kit::egress::retry_after;

/// What the guest is told of a provider's words.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// What is read to find them.
const BODY_BYTES_MAX: usize = 16 << 10;

#[derive(Debug)]
pub(super) enum Fault {
    /// No connection, or one that closed before a byte of the answer.
    Unreachable(String),
    /// No byte of an answer in this time.
    Silent(Duration),
    /// The provider answered with something that is no stream.
    Refused {
        status: StatusCode,
        retry_after: Option<Duration>,
        text: String,
    },
}

impl Fault {
    pub(super) fn unsent(error: &reqwest::Error) -> Self {
        // The innermost cause is the one that helps (`Connection refused`); the outer ones repeat the URL.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let what = match error.is_connect() {
            true => "The provider cannot be reached",
            false => "The provider closed the connection before it answered",
        };
        Self::Unreachable(clamp(&format!("{what}: {cause}.")))
    }

    pub(super) async fn read(
        mut response: Response,
        scrub: &Scrub,
        now: OffsetDateTime,
        patience: Duration,
    ) -> Self {
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(bytes)) = response.chunk().await {
                let room = BODY_BYTES_MAX - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if body.len() == BODY_BYTES_MAX {
                    break;
                }
            }
        };
        // What came in time is enough to tell.
        let _ = tokio::time::timeout(patience, read).await;
        Self::Refused {
            status: response.status(),
            retry_after: retry_after(response.headers(), now),
            text: clamp(&scrub.text(&said(&body))),
        }
    }

    /// How long to wait before the next try; `None` where there is none.
    pub(super) fn wait(&self, tried: u32, config: &Config, random: &Random) -> Option<Duration> {
        let again = match self {
            Self::Unreachable(_) => true,
            Self::Silent(_) => false,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
        };
        if !again || tried >= config.tries {
            return None;
        }
        match self {
            Self::Refused {
                retry_after: Some(wait),
                ..
            } => {
                Some(*wait).filter(|wait| wait.as_millis() <= u128::from(config.retry_after_max_ms))
            }
            _ => {
                let longest = config.backoff_ms << (tried - 1).min(6);
                let jitter = u64::from(u16::from_be_bytes(random.bytes())) * longest / (2 << 16);
                Some(Duration::from_millis(longest - jitter))
            }
        }
    }

    /// Whether it speaks against the connection rather than the request.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent(_) => true,
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }

    /// Whether the provider certainly did not generate: after silence it may have.
    pub(super) fn is_unbilled(&self) -> bool {
        !matches!(self, Self::Silent(_))
    }
}

impl From<Fault> for GenerateError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(text) => Self::Provider(text),
            Fault::Silent(waited) => Self::Provider(format!(
                "The provider did not answer within {} s.",
                waited.as_secs_f32()
            )),
            Fault::Refused {
                status,
                retry_after,
                ..
            } if status == StatusCode::TOO_MANY_REQUESTS => Self::RateLimited(retry_after),
            Fault::Refused { status, .. } if status.is_redirection() => Self::Provider(format!(
                "The provider answered {status}: redirects are not followed, the connection needs the final address."
            )),
            Fault::Refused { status, text, .. } if status.is_success() => Self::Broken(clamp(
                &format!("The provider did not stream its answer: {text}"),
            )),
            Fault::Refused { status, text, .. } => Self::Provider(clamp(&format!(
                "The provider answered {}: {text}",
                status.as_u16()
            ))),
        }
    }
}

/// The message in an error body, or the body.
fn said(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body).ok().and_then(|json| {
        let error = json.get("error").unwrap_or(&json);
        let text = error.get("message").unwrap_or(error).as_str()?;
        Some(text.to_owned())
    });
    message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// One line of at most 1 KiB, control characters made spaces.
pub(super) fn clamp(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > TEXT_BYTES_MAX {
            line.truncate(line.floor_char_boundary(TEXT_BYTES_MAX - '…'.len_utf8()));
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_are_one_short_line() {
        assert_eq!(clamp(" a\r\n\x1b[31m b\u{202e} "), "a [31m b\u{202e}");
        let long = clamp(&"é".repeat(2_000));
        assert!(long.len() <= TEXT_BYTES_MAX && long.ends_with('…'));
        assert_eq!(said(br#"{"error":{"message":"no"}}"#), "no");
        assert_eq!(said(br#"{"error":"no"}"#), "no");
        assert_eq!(said(b"<html>"), "<html>");
    }
}
