//! An endpoint as it is shown, made and changed over HTTP.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::webhooks::EndpointId;
use crate::webhooks::sign::Signature;

/// An endpoint as it is shown: everything but its secrets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Endpoint {
    #[schema(value_type = String)]
    pub id: EndpointId,
    pub url: String,
    pub description: String,
    /// What it is told of; `*` is everything.
    pub events: Vec<String>,
    pub signature: Signature,
    pub enabled: bool,
    /// Why it is not: `asked`, `gone` (it answered 410) or `failing` (it took nothing for days).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub disabled_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_success_at: Option<OffsetDateTime>,
    /// The first failure since the last success.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub failing_since: Option<OffsetDateTime>,
    /// Until then the secret before the last rotation signs too.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub former_secret_until: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// An endpoint with its secret: the only time that is seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithSecret {
    pub endpoint: Endpoint,
    /// `whsec_…`: what deliveries are signed with. It cannot be shown again.
    pub signing_secret: String,
}

/// An endpoint to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Where events are posted: https, and an address of the public internet.
    pub url: String,
    /// For people, at most 512 characters.
    #[serde(default)]
    pub description: String,
    /// Names of the catalogue, or `*`.
    pub events: Vec<String>,
    #[serde(default)]
    pub signature: Signature,
}

/// What to change; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEndpoint {
    pub url: Option<String>,
    pub description: Option<String>,
    pub events: Option<Vec<String>>,
    pub signature: Option<Signature>,
    /// `false` stops deliveries, `true` begins them again; what happened meanwhile is sent by a replay.
    pub enabled: Option<bool>,
}

impl ChangeEndpoint {
    /// The names of what is to change.
    pub(in crate::webhooks) fn names(&self) -> Vec<&'static str> {
        let all = [
            (self.url.is_some(), "url"),
            (self.description.is_some(), "description"),
            (self.events.is_some(), "events"),
            (self.signature.is_some(), "signature"),
            (self.enabled.is_some(), "enabled"),
        ];
        let given = all.into_iter().filter(|(is_given, _)| *is_given);
        given.map(|(_, name)| name).collect()
    }
}
