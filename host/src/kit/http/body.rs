//! Bodies, query strings and path parameters, read strictly: what cannot be read is one problem that says where.

use std::error::Error as StdError;

use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::incoming::Silent;
use crate::kit::Error;
use crate::kit::error::{INVALID, MEDIA, TOO_LARGE};

pub const BAD_JSON: crate::kit::Code = crate::kit::Code::new(
    "invalid_json",
    400,
    "The body is not the JSON this route takes",
);

pub const BODY_TIMEOUT: crate::kit::Code =
    crate::kit::Code::new("body_timeout", 408, "The body did not come in time");

/// A JSON body. serde refuses unknown fields where the type says so; nesting is bounded by `serde_json` (128).
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                value
                    .split(';')
                    .next()
                    .is_some_and(|t| t.trim() == "application/json")
            });
        if !json {
            return Err(MEDIA.because("Send the body as `content-type: application/json`."));
        }
        let bytes = read_bytes(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a JSON text strictly: trailing bytes, duplicate and unknown fields are errors.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
        BAD_JSON
            .because(format!("The body cannot be read: {what} ({place})."))
            .caused_by(error)
    })
}

/// The whole body; over the route's limit is 413.
pub async fn read_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                TOO_LARGE.because("The body is larger than this route takes.")
            }
            other => unread(other),
        })
}

/// What is read of a body that is too large, so that whoever sends it comes to hear the answer.
const DISCARDED_MAX: usize = 128 << 20;

/// A body of at most `max` bytes.
pub async fn collect(mut body: axum::body::Body, max: usize) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::new();
    let mut discarded = 0;
    while discarded < DISCARDED_MAX
        && let Some(frame) = body.frame().await
    {
        let Ok(read) = frame.map_err(unread)?.into_data() else {
            continue;
        };
        if discarded == 0 && bytes.len() + read.len() <= max {
            bytes.extend_from_slice(&read);
        } else {
            bytes = BytesMut::new();
            discarded += read.len();
        }
    }
    match discarded {
        0 => Ok(bytes.freeze()),
        _ => Err(TOO_LARGE.because("The body is larger than this route takes.")),
    }
}

fn unread(error: impl StdError + Send + Sync + 'static) -> Error {
    let code = match is::<Silent>(&error) {
        true => BODY_TIMEOUT.because("Send the body without a pause, or in a new request."),
        false => INVALID.because("The body broke off."),
    };
    code.caused_by(error)
}

/// Whether an error of this type is among an error and its causes.
fn is<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(is::<E>)
}

/// The query string, unknown parameters refused by the type.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Error::invalid(
                "The query string cannot hold a NUL character.",
            ));
        }
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|query| Self(query.0))
            .map_err(|rejection| {
                Error::invalid(format!(
                    "The query string cannot be read: {}.",
                    rejection.body_text()
                ))
            })
    }
}

/// The parameters in the path. One that cannot be what it names is the 404 of what it names.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|rejection| Error::not_found("thing").caused_by(rejection))
    }
}
