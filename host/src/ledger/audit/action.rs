//! Every action there is a row for: a closed list of stable names. A name never changes its meaning once released.

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// What was done, or asked for and refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in rows, filters and exports.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

actions! {
    OrganizationCreated "organization.created",
    ApiKeyCreated "api_key.created",
    ApiKeyRevoked "api_key.revoked",
    /// Limits of an organization or of a version; the target says which.
    LimitsSet "limits.set",
    AgentVersionCreated "agent_version.created",
    /// A label was given or taken away.
    AgentVersionLabelled "agent_version.labelled",
    AgentVersionSigned "agent_version.signed",
    AgentVersionDeleted "agent_version.deleted",
    /// The last runs of the stable version were replayed on it.
    AgentVersionReplayed "agent_version.replayed",
    AgentChannelPromoted "agent_channel.promoted",
    AgentChannelCanaryUpdated "agent_channel.canary_updated",
    AgentChannelRolledBack "agent_channel.rolled_back",
    PublisherKeyAdded "publisher_key.added",
    PublisherKeyRevoked "publisher_key.revoked",
    SignaturePolicySet "signature_policy.set",
    ModelConnectionPut "model_connection.put",
    ModelConnectionDeleted "model_connection.deleted",
    KnowledgeEntryCreated "knowledge_entry.created",
    KnowledgeEntryUpdated "knowledge_entry.updated",
    KnowledgeEntryDeleted "knowledge_entry.deleted",
    /// What an agent kept for a conversation was deleted.
    ConversationMemoryDeleted "conversation_memory.deleted",
    RunCancelled "run.cancelled",
    RunReplayed "run.replayed",
    WebhookEndpointCreated "webhook_endpoint.created",
    WebhookEndpointUpdated "webhook_endpoint.updated",
    WebhookEndpointDeleted "webhook_endpoint.deleted",
    WebhookEndpointEnabled "webhook_endpoint.enabled",
    WebhookEndpointDisabled "webhook_endpoint.disabled",
    WebhookEndpointTested "webhook_endpoint.tested",
    WebhookSecretRotated "webhook_endpoint.secret_rotated",
    /// One attempt to deliver; a row of the source `deliveries`.
    WebhookDelivery "webhook_delivery.attempted",
    WebhookRedelivered "webhook_delivery.redelivered",
    WebhookReplayed "webhook_delivery.replayed",
    TierSet "tier.set",
    TierAssigned "tier.assigned",
    SpendCapSet "spend_cap.set",
    SubscriptionChanged "subscription.changed",
    /// The operator settled what the payment provider did not.
    BillingRowSettled "billing_row.settled",
    GuardrailComponentPut "guardrail_component.put",
    GuardrailComponentDeleted "guardrail_component.deleted",
    GuardrailPolicyPut "guardrail_policy.put",
    /// A key asked for what it may not do, or for another organization's, on a route that is no action itself.
    RequestRefused "request.refused",
    /// How many refusals of one key were not written one by one.
    RefusalsCounted "request.refusals_counted",
}

impl Action {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.as_str() == name)
    }
}
