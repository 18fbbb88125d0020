//! Conversations: they group the runs of an agent, keep what was asked and answered and what the agent remembers, and
//! pin the version that answers. Owned by the key that made them. Runs enter one in the transaction of their beginning and leave it in that of their
//! end, so it has one open run at most, and its messages are those of its runs.

pub mod http;
pub mod join;
pub mod memory;
mod pins;
mod show;
mod store;

use sqlx::PgPool;

use crate::id;
use crate::kit::http::Cursors;
use crate::kit::{Base, Clock, Ids, Tasks};

pub use join::{Answer, Entry, Joined, Said};
pub use memory::{Config, remember};
pub use pins::{choosing, repin, staying};
pub use show::{Conversation, Message};
pub use store::{answer, enter, lock};

id!(ConversationId, "conv_", "A conversation with an agent.");

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Conversations {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    tasks: Tasks,
    memory: Config,
}

impl Conversations {
    pub fn new(base: &Base, memory: Config) -> Self {
        Self {
            db: base.db.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            cursors: base.cursors.clone(),
            tasks: base.tasks.clone(),
            memory,
        }
    }
}
