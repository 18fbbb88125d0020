//! The event catalogue: everything a receiver can be told of, by the names it subscribes to. A closed enum; a name
//! never changes its meaning once released. Those of rooms to come stand here already, and say that they are.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    RunStarted,
    RunCompleted,
    RunFailed,
    RunCancelled,
    RunBlocked,
    VersionCreated,
    ChannelPromoted,
    ChannelCanaryUpdated,
    ChannelRolledBack,
    AuditFlagged,
    ProposalCreated,
    ProposalApplied,
    ProposalExpired,
    KnowledgeSourceFailed,
    CapWarning,
    CapReached,
    MemberInvited,
    MemberJoined,
    MemberRoleChanged,
    MemberRemoved,
    EndpointDisabled,
    EndpointTest,
}

impl Topic {
    pub const ALL: [Self; 22] = [
        Self::RunStarted,
        Self::RunCompleted,
        Self::RunFailed,
        Self::RunCancelled,
        Self::RunBlocked,
        Self::VersionCreated,
        Self::ChannelPromoted,
        Self::ChannelCanaryUpdated,
        Self::ChannelRolledBack,
        Self::AuditFlagged,
        Self::ProposalCreated,
        Self::ProposalApplied,
        Self::ProposalExpired,
        Self::KnowledgeSourceFailed,
        Self::CapWarning,
        Self::CapReached,
        Self::MemberInvited,
        Self::MemberJoined,
        Self::MemberRoleChanged,
        Self::MemberRemoved,
        Self::EndpointDisabled,
        Self::EndpointTest,
    ];

    /// What a receiver subscribes to.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// When it is sent, in a sentence.
    pub fn about(self) -> &'static str {
        self.row().1
    }

    /// Its room is still to come: it may be subscribed to, and is not sent yet.
    pub fn is_reserved(self) -> bool {
        matches!(
            self,
            Self::ProposalCreated
                | Self::ProposalApplied
                | Self::ProposalExpired
                | Self::KnowledgeSourceFailed
                | Self::MemberInvited
                | Self::MemberJoined
                | Self::MemberRoleChanged
                | Self::MemberRemoved
        )
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// The event of a run that ended in this state.
    pub fn of_end(state: &str) -> Option<Self> {
        Some(match state {
            "completed" => Self::RunCompleted,
            "failed" => Self::RunFailed,
            "cancelled" => Self::RunCancelled,
            "blocked" => Self::RunBlocked,
            _ => return None,
        })
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::RunStarted => ("agent_run.started", "A run was accepted."),
            Self::RunCompleted => (
                "agent_run.completed",
                "A run ended as its agent meant it to.",
            ),
            Self::RunFailed => ("agent_run.failed", "A run ended by an error or a limit."),
            Self::RunCancelled => ("agent_run.cancelled", "A run was cancelled."),
            Self::RunBlocked => ("agent_run.blocked", "A run was ended by a guardrail."),
            Self::VersionCreated => ("agent_version.created", "An agent has a new version."),
            Self::ChannelPromoted => (
                "agent_channel.promoted",
                "A channel points at another version.",
            ),
            Self::ChannelCanaryUpdated => (
                "agent_channel.canary_updated",
                "A channel's canary changed its share.",
            ),
            Self::ChannelRolledBack => (
                "agent_channel.rolled_back",
                "A channel went back to an earlier version.",
            ),
            Self::AuditFlagged => (
                "audit.flagged",
                "Something was recorded that a person should look at.",
            ),
            Self::ProposalCreated => (
                "proposal.created",
                "A run asks a person to allow an effect.",
            ),
            Self::ProposalApplied => (
                "proposal.applied",
                "A person allowed an effect, and it was carried out.",
            ),
            Self::ProposalExpired => ("proposal.expired", "Nobody answered a proposal in time."),
            Self::KnowledgeSourceFailed => (
                "knowledge.source_failed",
                "A source of knowledge could not be read.",
            ),
            Self::CapWarning => (
                "usage.cap_warning",
                "The organization comes near a cap of its tier.",
            ),
            Self::CapReached => (
                "usage.cap_reached",
                "The organization reached a cap of its tier.",
            ),
            Self::MemberInvited => ("member.invited", "A person was invited."),
            Self::MemberJoined => ("member.joined", "A person joined."),
            Self::MemberRoleChanged => ("member.role_changed", "A person has another role."),
            Self::MemberRemoved => ("member.removed", "A person is no longer a member."),
            Self::EndpointDisabled => (
                "webhook_endpoint.disabled",
                "An endpoint was disabled because it did not take what it was sent.",
            ),
            Self::EndpointTest => (
                "webhook_endpoint.test",
                "Somebody asked for a test; sent to that endpoint whatever it subscribes to.",
            ),
        }
    }
}
