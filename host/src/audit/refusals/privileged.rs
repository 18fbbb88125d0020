//! Which routes are privileged, and what a refusal of each was asked for. A mutating route that is neither here nor
//! named as unprivileged by the tests fails them.

use crate::ledger::audit::Action;

/// Method, route below `/v1/orgs/{org}`, action.
const PRIVILEGED: &[(&str, &str, Action)] = &[
    ("POST", "/keys", Action::ApiKeyCreated),
    ("DELETE", "/keys/{key}", Action::ApiKeyRevoked),
    ("PUT", "/limits", Action::LimitsSet),
    (
        "PUT",
        "/agents/{agent}/versions/{version}/limits",
        Action::LimitsSet,
    ),
    (
        "POST",
        "/agents/{agent}/versions",
        Action::AgentVersionCreated,
    ),
    (
        "PUT",
        "/agents/{agent}/channels/stable",
        Action::AgentChannelPromoted,
    ),
    (
        "POST",
        "/agents/{agent}/promote",
        Action::AgentChannelPromoted,
    ),
    (
        "POST",
        "/agents/{agent}/canary",
        Action::AgentChannelCanaryUpdated,
    ),
    (
        "POST",
        "/agents/{agent}/rollback",
        Action::AgentChannelRolledBack,
    ),
    (
        "PATCH",
        "/agents/{agent}/versions/{version}",
        Action::AgentVersionLabelled,
    ),
    (
        "DELETE",
        "/agents/{agent}/versions/{version}",
        Action::AgentVersionDeleted,
    ),
    ("POST", "/publisher-keys", Action::PublisherKeyAdded),
    (
        "DELETE",
        "/publisher-keys/{publisher}",
        Action::PublisherKeyRevoked,
    ),
    ("PUT", "/signature-policy", Action::SignaturePolicySet),
    (
        "PUT",
        "/model-connections/{name}",
        Action::ModelConnectionPut,
    ),
    (
        "DELETE",
        "/model-connections/{name}",
        Action::ModelConnectionDeleted,
    ),
    ("POST", "/knowledge/entries", Action::KnowledgeEntryCreated),
    (
        "DELETE",
        "/knowledge/entries/{entry}",
        Action::KnowledgeEntryDeleted,
    ),
    (
        "DELETE",
        "/agents/{agent}/conversations/{conversation}/memory",
        Action::ConversationMemoryDeleted,
    ),
    (
        "POST",
        "/agents/{agent}/runs/{run}/cancel",
        Action::RunCancelled,
    ),
    (
        "POST",
        "/agents/{agent}/runs/{run}/replay",
        Action::RunReplayed,
    ),
    (
        "POST",
        "/agents/{agent}/replay",
        Action::AgentVersionReplayed,
    ),
    ("POST", "/webhook-endpoints", Action::WebhookEndpointCreated),
    (
        "PATCH",
        "/webhook-endpoints/{endpoint}",
        Action::WebhookEndpointUpdated,
    ),
    (
        "DELETE",
        "/webhook-endpoints/{endpoint}",
        Action::WebhookEndpointDeleted,
    ),
    (
        "POST",
        "/webhook-endpoints/{endpoint}/rotate-secret",
        Action::WebhookSecretRotated,
    ),
    (
        "POST",
        "/webhook-endpoints/{endpoint}/test",
        Action::WebhookEndpointTested,
    ),
    (
        "POST",
        "/webhook-endpoints/{endpoint}/replay",
        Action::WebhookReplayed,
    ),
    (
        "POST",
        "/webhook-endpoints/{endpoint}/deliveries/{event}/redeliver",
        Action::WebhookRedelivered,
    ),
];

/// The action a request of this method to this route asks for.
pub fn action(method: &str, route: &str) -> Option<Action> {
    let below = route.strip_prefix("/v1/orgs/{org}")?;
    let found = PRIVILEGED
        .iter()
        .find(|(m, r, _)| (*m, *r) == (method, below));
    found.map(|(.., action)| *action)
}
