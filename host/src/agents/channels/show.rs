//! Where an agent's channels point, and how they came there.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::judge::{Judged, Thresholds};
use super::pointers::Pointers;
use super::{MoveId, store};
use crate::agents::Agents;
use crate::identity::{Caller, KeyId};
use crate::kit::Result;
use crate::kit::http::{Cursor, Page, PageQuery};

/// Where a channel points.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pointer {
    pub version: i32,
    /// The canary's part of new conversations and runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// When the host ends the canary by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Thresholds>,
    /// How the canary stands beside stable; where the channels were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
}

/// An agent's channels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Channels {
    pub agent: String,
    /// Absent until a version was made stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Pointer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Pointer>,
    /// The version that a rollback makes stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolls_back_to: Option<i32>,
    /// How many open conversations chose again; of a move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repinned: Option<i64>,
}

/// One move of a channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChannelMove {
    #[schema(value_type = String)]
    pub id: MoveId,
    /// promoted, canary_updated or rolled_back.
    pub action: String,
    pub channel: String,
    /// Where it pointed afterwards; absent where nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Where it pointed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Open conversations that chose again.
    pub repinned: i64,
    /// What the version was allowed to ask for beyond the stable one.
    pub approved: Vec<String>,
    /// The key that did it; absent where the host did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub by: Option<KeyId>,
    /// Why the host did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Channels {
    /// `living` are those of the earlier versions that were not deleted.
    pub(super) fn new(agent: &str, to: Option<&Pointers>, living: &[i32]) -> Self {
        let back = |to: &Pointers| {
            to.earlier
                .iter()
                .rev()
                .find(|n| living.contains(n))
                .copied()
        };
        let canary = to.and_then(|to| Some((to.canary?, to.watch)));
        let pointer = |version, weight, judge| Pointer {
            version,
            weight,
            judge,
            judged: None,
        };
        Self {
            agent: agent.to_owned(),
            stable: to.map(|to| pointer(to.stable, None, None)),
            canary: canary.map(|((version, weight), watch)| {
                pointer(version, Some(weight), watch.map(|watch| watch.thresholds))
            }),
            rolls_back_to: to.and_then(back),
            repinned: None,
        }
    }

    pub(super) fn repinned(self, conversations: i64) -> Self {
        Self {
            repinned: Some(conversations),
            ..self
        }
    }
}

impl Agents {
    pub async fn channels(&self, caller: &Caller, name: &str) -> Result<Channels> {
        let agent = self.get(caller, name).await?;
        let which = (caller.org, agent.id);
        let pointers = store::find(&self.db, which).await?;
        let living = store::living(&self.db, which, pointers.as_ref()).await?;
        let mut channels = Channels::new(name, pointers.as_ref(), &living);
        if let (Some(at), Some(canary)) = (&pointers, &mut channels.canary)
            && let Some(watch) = &at.watch
        {
            canary.judged = Some(self.judged(which, (at, canary.version, watch)).await?);
        }
        Ok(channels)
    }

    /// The moves of the agent's channels, newest first.
    pub async fn channel_history(
        &self,
        caller: &Caller,
        name: &str,
        query: &PageQuery,
    ) -> Result<Page<ChannelMove>> {
        let agent = self.get(caller, name).await?;
        let filter = format!("channels {} {}", caller.org, agent.id);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let rows = store::list_moves(&self.db, (caller.org, agent.id), start, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |row| {
            let (at, id) = (row.at, row.id.0);
            (Cursor { at, id }, row)
        }))
    }
}
