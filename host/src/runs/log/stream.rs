//! Reading a run's log as it grows: from the table up to now, then live, or from the table whenever there is news where
//! another node runs it. No gap and no duplicate, wherever a reader begins and however often the run moves.

use std::collections::VecDeque;
use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Live, Registry, Stored, events_after};
use crate::kit::{OrgId, Result};
use crate::runs::RunId;
use crate::runs::nodes::announce::{Announce, Watch};

const PAGE: i64 = 200;

/// Where logs are read from.
#[derive(Clone, Debug)]
pub struct Source {
    pub db: PgPool,
    pub live: Registry,
    pub announce: Announce,
    /// The host is going away: readers go on elsewhere.
    pub shutdown: CancellationToken,
}

/// A reader of one run's events.
#[derive(Debug)]
pub struct Stream {
    source: Source,
    org: OrgId,
    run: RunId,
    /// The last seq that was handed out.
    seq: i32,
    ready: VecDeque<Stored>,
    news: News,
    /// The table has to be read before the next event: at the beginning, and whenever only news of news came.
    behind: bool,
    ended: bool,
}

/// What a reader waits for once it has read what is there.
#[derive(Debug)]
enum News {
    /// The run is here: its events, after their commit.
    Here(mpsc::Receiver<Stored>),
    /// Another node has it, or none.
    Elsewhere(Watch),
    /// The run is known to have ended: what the table has is all there will be.
    Complete,
}

impl Stream {
    /// A reader from the beginning of a run that is only now written: nothing can be missed.
    pub fn from_birth(source: Source, key: (OrgId, RunId), live: &Arc<Live>) -> Self {
        Self {
            behind: false,
            ..Self::made(source, key, 0, News::Here(live.listen()))
        }
    }

    /// A reader of what follows `seq`.
    pub fn new(source: Source, key: (OrgId, RunId), seq: i32) -> Self {
        // Listen first, read second: what is committed in between arrives twice and is told apart by its seq.
        let news = source.news(key);
        Self::made(source, key, seq, news)
    }

    /// A reader of what a run that has ended said after `seq`; it waits for nothing.
    pub fn of_ended(source: Source, key: (OrgId, RunId), seq: i32) -> Self {
        Self::made(source, key, seq, News::Complete)
    }

    fn made(source: Source, (org, run): (OrgId, RunId), seq: i32, news: News) -> Self {
        Self {
            source,
            org,
            run,
            seq,
            ready: VecDeque::new(),
            news,
            behind: true,
            ended: false,
        }
    }

    /// Puts an event back that was looked at.
    pub fn give_back(&mut self, event: Stored) {
        self.seq = event.seq - 1;
        self.ended = false;
        self.ready.push_front(event);
    }

    /// The next event; `None` after the last, and when the host goes away. Dropping the future loses nothing.
    pub async fn next_while_up(&mut self) -> Result<Option<Stored>> {
        let shutdown = self.source.shutdown.clone();
        tokio::select! {
            biased;
            next = self.next_stored() => next,
            () = shutdown.cancelled() => Ok(None),
        }
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
                let key = (self.org, self.run);
                let page = events_after(&self.source.db, key, self.seq, PAGE).await?;
                self.behind = page.len() as i64 == PAGE;
                self.ready.extend(page);
                continue;
            }
            match &mut self.news {
                News::Complete => return Ok(None),
                News::Here(events) => match events.recv().await {
                    Some(event) if event.seq <= self.seq + 1 => {
                        self.ready.push_back(event);
                        continue;
                    }
                    // What stands between was published before this reader came.
                    Some(_) => {}
                    // Ended, cut off for lagging, or gone to another node: the table tells which.
                    None => self.news = self.source.news((self.org, self.run)),
                },
                News::Elsewhere(watch) => {
                    watch.changed().await;
                    // This node may have taken it over meanwhile.
                    if self.source.live.get(self.run).is_some() {
                        self.news = self.source.news((self.org, self.run));
                    }
                }
            }
            self.behind = true;
        }
    }
}

impl Source {
    fn news(&self, (org, run): (OrgId, RunId)) -> News {
        match self.live.get(run) {
            Some(live) => News::Here(live.listen()),
            None => News::Elsewhere(self.announce.watch((org, run))),
        }
    }
}
