//! One row before it has its place in the chain. Texts are bounded here, whoever wrote them.

use std::net::IpAddr;

use serde_json::Value;
use time::OffsetDateTime;

use super::Action;
use crate::kit::OrgId;
use crate::kit::http::RequestId;

const TEXT_BYTES_MAX: usize = 256;
const CHANGED_MAX: usize = 64;
const DETAIL_BYTES_MAX: usize = 4 << 10;

/// Which of the three logs a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Privileged actions and refusals.
    Actions,
    /// Calls that provision members.
    Provisioning,
    /// Attempts to deliver a webhook.
    Deliveries,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Provisioning => "provisioning",
            Self::Deliveries => "deliveries",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    Refused,
    /// A delivery that the receiver took.
    Delivered,
    /// A delivery, or another attempt, that did not succeed.
    Failed,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::Delivered, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub(super) kind: &'static str,
    pub(super) id: String,
}

impl Actor {
    /// An API key, by its id.
    pub fn key(id: impl ToString) -> Self {
        Self {
            kind: "key",
            id: bounded(&id.to_string()),
        }
    }

    /// Whoever holds the database, at the command line.
    pub fn operator() -> Self {
        Self {
            kind: "operator",
            id: "operator".to_owned(),
        }
    }

    /// The host itself: `what` is the part of it that acted, such as `webhooks`.
    pub fn host(what: &'static str) -> Self {
        Self {
            kind: "host",
            id: what.to_owned(),
        }
    }
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) kind: &'static str,
    pub(super) id: String,
}

impl Target {
    pub fn new(kind: &'static str, id: impl ToString) -> Self {
        Self {
            kind,
            id: bounded(&id.to_string()),
        }
    }
}

/// A row to append.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) org: OrgId,
    pub(super) source: Source,
    pub(super) at: OffsetDateTime,
    pub(super) actor: Actor,
    pub(super) action: Action,
    pub(super) target: Target,
    pub(super) changed: Vec<String>,
    pub(super) status: Status,
    pub(super) code: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) detail: Option<String>,
}

impl Entry {
    /// An action that was done.
    pub fn new(
        org: OrgId,
        at: OffsetDateTime,
        actor: Actor,
        action: Action,
        target: Target,
    ) -> Self {
        Self {
            org,
            source: Source::Actions,
            at,
            actor,
            action,
            target,
            changed: Vec::new(),
            status: Status::Done,
            code: None,
            request_id: None,
            ip: None,
            detail: None,
        }
    }

    pub fn of(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// When it was done, where that is not when its request began.
    pub fn at(mut self, at: OffsetDateTime) -> Self {
        self.at = at;
        self
    }

    /// The request it came by.
    pub fn asked(mut self, request: Option<&RequestId>, ip: Option<IpAddr>) -> Self {
        self.request_id = request.map(|id| bounded(&id.to_string()));
        self.ip = ip.map(|ip| ip.to_canonical().to_string());
        self
    }

    /// It stands for more than the request its maker came by.
    pub fn unasked(mut self) -> Self {
        (self.request_id, self.ip) = (None, None);
        self
    }

    /// The names of the fields that were set; never their values.
    pub fn changed<T: AsRef<str>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        let fields = fields.into_iter().take(CHANGED_MAX);
        self.changed = fields.map(|field| bounded(field.as_ref())).collect();
        self
    }

    /// What came of it, and why where that needs a word.
    pub fn came_to(mut self, status: Status, code: Option<&str>) -> Self {
        self.status = status;
        self.code = code.map(bounded);
        self
    }

    pub fn refused(self, code: &str) -> Self {
        self.came_to(Status::Refused, Some(code))
    }

    /// What else is worth knowing: no secret, no content. Larger than 4 KiB, only its size is kept.
    pub fn detail(mut self, detail: &Value) -> Self {
        // An export cannot tell null from none.
        if detail.is_null() {
            return self;
        }
        let text = detail.to_string().replace("\\u0000", "\\ufffd");
        self.detail = Some(match text.len() {
            0..=DETAIL_BYTES_MAX => text,
            bytes => format!("{{\"omitted_bytes\":{bytes}}}"),
        });
        self
    }
}

/// At most 256 bytes, and nothing a text column cannot hold.
fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX.min(text.len()));
    text[..end].replace('\0', "\u{fffd}")
}
