//! Reading a run's log as it grows: from the table up to now, then live, or from the table alone where another node
//! runs it. No gap and no duplicate, wherever a reader begins.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;

use super::{Live, Stored, events_after};
use crate::kit::{OrgId, Result};
use crate::runs::RunId;

/// How often a reader asks the table where no event is announced.
const POLL: Duration = Duration::from_millis(500);
const PAGE: i64 = 200;

/// A reader of one run's events.
#[derive(Debug)]
pub struct Stream {
    db: PgPool,
    org: OrgId,
    run: RunId,
    /// The last seq that was handed out.
    seq: i32,
    ready: VecDeque<Stored>,
    live: Option<mpsc::Receiver<Stored>>,
    /// The table has to be read before the next event: at the beginning, and without a live source.
    behind: bool,
    ended: bool,
    /// The run is known to have ended: what the table has is all there will be.
    complete: bool,
}

impl Stream {
    /// A reader from the beginning of a run that is only now written: nothing can be missed.
    pub fn from_birth(db: PgPool, (org, run): (OrgId, RunId), live: &Arc<Live>) -> Self {
        Self {
            behind: false,
            ..Self::new(db, (org, run), 0, Some(live))
        }
    }

    /// A reader of what follows `seq`.
    pub fn new(db: PgPool, (org, run): (OrgId, RunId), seq: i32, live: Option<&Arc<Live>>) -> Self {
        // Listen first, read second: what is committed in between arrives twice and is told apart by its seq.
        let live = live.map(|live| live.listen());
        Self {
            db,
            org,
            run,
            seq,
            ready: VecDeque::new(),
            live,
            behind: true,
            ended: false,
            complete: false,
        }
    }

    /// Reads what is there and waits for nothing: for a run that has ended.
    pub fn complete(mut self) -> Self {
        self.live = None;
        self.complete = true;
        self
    }

    /// Puts an event back that was looked at.
    pub fn give_back(&mut self, event: Stored) {
        self.seq = event.seq - 1;
        self.ended = false;
        self.ready.push_front(event);
    }

    /// The next event, `None` after the last. Dropping the future loses nothing.
    pub async fn next_stored(&mut self) -> Result<Option<Stored>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                if event.seq <= self.seq {
                    continue;
                }
                self.seq = event.seq;
                self.ended = event.is_last();
                return Ok(Some(event));
            }
            if self.behind {
                let page = events_after(&self.db, (self.org, self.run), self.seq, PAGE).await?;
                self.behind = page.len() as i64 == PAGE;
                self.ready.extend(page);
                continue;
            }
            if self.complete {
                return Ok(None);
            }
            match &mut self.live {
                Some(live) => match live.recv().await {
                    Some(event) => self.ready.push_back(event),
                    // Ended, or cut off for lagging: the table tells which.
                    None => {
                        self.live = None;
                        self.behind = true;
                    }
                },
                None => {
                    tokio::time::sleep(POLL).await;
                    self.behind = true;
                }
            }
        }
    }
}
