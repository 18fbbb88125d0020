//! Errors as RFC 9457 `application/problem+json`: one shape for every refusal. No cause, SQL or path gets out;
//! causes are logged here, once, under the request's id.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kit::Error;
use crate::kit::error::Members;

/// What a refused request is answered with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:bulkhead:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// A sentence that says what to change.
    pub detail: String,
    /// Stable: what a client may match on.
    pub code: String,
    /// The same as the `x-request-id` header; quote it to the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// Members that the code's page in the handbook tells of.
    #[serde(flatten)]
    #[schema(ignore)]
    pub members: Members,
}

/// One field of the body that is wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemField {
    /// A JSON pointer into the body.
    pub pointer: String,
    pub detail: String,
}

/// In the extensions of every refusing response: the code it was refused with, for layers.
#[derive(Clone, Copy, Debug)]
pub struct Refused(pub &'static str);

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            kind: format!("urn:bulkhead:problem:{}", error.code.code),
            title: error.code.title.into(),
            status: error.code.status,
            detail: error.detail.clone(),
            code: error.code.code.into(),
            request_id: super::request::current().map(|id| id.to_string()),
            errors: error
                .fields
                .iter()
                .map(|field| ProblemField {
                    pointer: field.pointer.clone(),
                    detail: field.detail.clone(),
                })
                .collect(),
            members: error
                .more
                .as_ref()
                .map(|more| more.members.clone())
                .unwrap_or_default(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let cause = self.chain();
        match self.code.status {
            500 => tracing::error!(code = self.code.code, cause, "request failed"),
            503 => tracing::warn!(code = self.code.code, cause, "request failed"),
            _ => tracing::debug!(code = self.code.code, cause, "request refused"),
        }
        let status =
            StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(Problem::from(&self))).into_response();
        response.extensions_mut().insert(Refused(self.code.code));
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.more.and_then(|more| more.retry_after) {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(wait.as_secs().max(1)),
            );
        }
        if self.code.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
