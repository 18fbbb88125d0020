//! What a run writes, as changes that many runs commit together: its beginning, events, intents, steps, leaving this
//! node, its end. An end is state, last event and usage in one transaction; a change under an old term writes nothing.

mod rows;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use self::rows::Rows;
use super::record::Key;
use super::step::{Intention, Step};
use super::store;
use super::{Live, Stored};
use crate::billing::Bill;
use crate::conversations::join::CONVERSATION_BUSY;
use crate::conversations::{self, Answer, Entry};
use crate::guardrails::Violation;
use crate::kit::commit::{Apply, Weigh};
use crate::kit::{Code, OrgId, Result};
use crate::ledger::outbox::Notice;
use crate::runs::store::NewRow;

pub const FENCED: Code = Code::new("fenced", 409, "The run belongs to another node by now");

pub const INCOMPLETE: Code = Code::new("log_incomplete", 500, "A write of the run was lost");

/// One write of one run.
#[derive(Debug)]
pub enum Change {
    Begin {
        live: Arc<Live>,
        row: Box<NewRow>,
        /// What it writes in its conversation.
        entry: Option<Box<Entry>>,
        started: Stored,
        /// What of its input was redacted.
        violations: Vec<Violation>,
        /// Who subscribes is told, in the same transaction.
        notices: Vec<Notice>,
    },
    /// It left the queue.
    Running { key: Key, live: Arc<Live> },
    Events {
        key: Key,
        live: Arc<Live>,
        events: Vec<Stored>,
    },
    Step {
        key: Key,
        live: Arc<Live>,
        step: Box<Step>,
    },
    Intend {
        key: Key,
        live: Arc<Live>,
        intention: Box<Intention>,
    },
    /// It goes on elsewhere, or later.
    Leave {
        key: Key,
        live: Arc<Live>,
        leave: Box<Leave>,
    },
    End {
        key: Key,
        live: Arc<Live>,
        end: Box<End>,
    },
}

/// A run that leaves this node's memory without having ended.
#[derive(Debug)]
pub struct Leave {
    /// What was said last and not written yet.
    pub events: Vec<Stored>,
    /// When it is to go on; at once where there is none, on whichever node claims it.
    pub wake_at: Option<OffsetDateTime>,
    /// What it used so far, as JSON: what is known of it while nobody has it.
    pub usage: String,
}

/// The end of a run.
#[derive(Debug)]
pub struct End {
    pub state: &'static str,
    pub stop_reason: String,
    pub output: String,
    pub fault: Option<String>,
    pub receipt: String,
    pub guest_log: Option<String>,
    /// What was said last and not written yet; the last of them is the terminal event.
    pub events: Vec<Stored>,
    /// Answers that were incomplete when the guest was dropped.
    pub steps: Vec<Step>,
    pub at: OffsetDateTime,
    /// It closes a log that has lost a write, after the last event that is there.
    pub closing: bool,
    pub bill: Bill,
    /// It may hold a part of its organization's caps: its bill says what became of that.
    pub holds: bool,
    /// The guardrail that ended it, as JSON.
    pub blocked: Option<String>,
    /// What guardrails did to it.
    pub violations: Vec<Violation>,
    /// What it leaves in its conversation.
    pub answer: Option<Answer>,
    /// Who subscribes is told, in the same transaction.
    pub notices: Vec<Notice>,
}

impl Change {
    fn live(&self) -> &Arc<Live> {
        match self {
            Self::Begin { live, .. }
            | Self::Running { live, .. }
            | Self::Events { live, .. }
            | Self::Step { live, .. }
            | Self::Intend { live, .. }
            | Self::Leave { live, .. }
            | Self::End { live, .. } => live,
        }
    }

    fn org(&self) -> OrgId {
        match self {
            Self::Begin { row, .. } => row.org,
            Self::Running { key, .. }
            | Self::Events { key, .. }
            | Self::Step { key, .. }
            | Self::Intend { key, .. }
            | Self::Leave { key, .. }
            | Self::End { key, .. } => key.org,
        }
    }

    fn key(&self) -> Option<Key> {
        match self {
            Self::Begin { .. } => None,
            Self::Running { key, .. }
            | Self::Events { key, .. }
            | Self::Step { key, .. }
            | Self::Intend { key, .. }
            | Self::Leave { key, .. }
            | Self::End { key, .. } => Some(*key),
        }
    }

    fn is_end(&self) -> bool {
        matches!(self, Self::End { .. })
    }

    /// Whether everything before it was written. What follows a lost write would leave a gap; only the end may close
    /// the log, and it numbers itself anew.
    fn is_whole(&self) -> bool {
        let closes = matches!(self, Self::End { end, .. } if end.closing);
        closes || !self.live().is_broken()
    }

    fn steps(&self) -> &[Step] {
        match self {
            Self::Step { step, .. } => std::slice::from_ref(step),
            Self::End { end, .. } => &end.steps,
            _ => &[],
        }
    }

    fn events(&self) -> &[Stored] {
        match self {
            Self::Begin { started, .. } => std::slice::from_ref(started),
            Self::Events { events, .. } => events,
            Self::Leave { leave, .. } => &leave.events,
            Self::End { end, .. } => &end.events,
            Self::Running { .. } | Self::Step { .. } | Self::Intend { .. } => &[],
        }
    }

    fn notices(&self) -> &[Notice] {
        match self {
            Self::Begin { notices, .. } => notices,
            Self::End { end, .. } => &end.notices,
            _ => &[],
        }
    }
}

impl Weigh for Change {
    fn bytes(&self) -> usize {
        let events = self.events().iter().map(|event| event.data.len());
        let steps = self.steps().iter().map(Step::bytes);
        let own = match self {
            Self::Begin { row, .. } => {
                row.input.len() + row.metadata.as_ref().map_or(0, String::len)
            }
            Self::Intend { intention, .. } => intention.request.len(),
            Self::End { end, .. } => {
                end.output.len() + end.guest_log.as_ref().map_or(0, String::len)
            }
            _ => 0,
        };
        let notices = self.notices().iter().map(|notice| notice.data.len());
        events.chain(steps).chain(notices).sum::<usize>() + own
    }
}

/// How the changes of many runs become one transaction.
#[derive(Debug)]
pub struct Writes;

impl Apply for Writes {
    type Change = Change;

    async fn apply<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        batch: &'a [Change],
    ) -> Result<Vec<Result<()>>> {
        let entered = enter(tx, batch).await?;
        let begins: Vec<&NewRow> = batch
            .iter()
            .filter_map(|change| match change {
                Change::Begin { row, entry, .. } => {
                    (entry.is_none() || entered.contains(&row.run.0)).then_some(&**row)
                }
                _ => None,
            })
            .collect();
        if !begins.is_empty() {
            store::insert_runs(tx, &begins).await?;
        }
        let held = hold(tx, batch).await?;
        let ended = end(tx, batch).await?;
        let mut rows = Rows::default();
        let mut answers = Vec::with_capacity(batch.len());
        for change in batch {
            let answer = may_write(change, &entered, (&held, &ended));
            if let Ok(Write::Now) = answer {
                rows.add(change);
            }
            answers.push(answer.map(drop));
        }
        rows.write(tx).await?;
        Ok(answers)
    }

    fn tenant(&self, change: &Change) -> u128 {
        change.org().0.as_u128()
    }

    fn weight(&self, change: &Change) -> usize {
        1 + change.events().len()
    }

    fn settled(&self, change: &Change, outcome: &Result<()>) {
        match outcome {
            Ok(()) => change.live().publish(change.events()),
            Err(error) if error.is(FENCED) => {
                // Whoever has the run by now goes on with it; what is left of it here stops.
                tracing::warn!(run = %change.live().run, why = error.detail, "a run is not this host's any more");
                change.live().mark_broken();
                change.live().lose();
            }
            // Nothing was begun: who asked is told.
            Err(error) if error.is(CONVERSATION_BUSY) => {}
            Err(error) => {
                tracing::error!(run = %change.live().run, %error, cause = error.chain(), "a run's write failed");
                change.live().mark_broken();
            }
        }
    }
}

/// Lets the runs of the batch into their conversations; the answer names those that were. All that the batch writes to is
/// locked first, in one order.
async fn enter(tx: &mut PgConnection, batch: &[Change]) -> Result<HashSet<Uuid>> {
    let mut locks = Vec::new();
    let mut entries = Vec::new();
    for change in batch {
        match change {
            Change::Begin {
                entry: Some(entry), ..
            } => {
                locks.push((entry.org, entry.conversation));
                entries.push(&**entry);
            }
            Change::End { end, .. } => {
                let answer = end.answer.iter();
                locks.extend(answer.map(|answer| (answer.org, answer.conversation)));
            }
            _ => {}
        }
    }
    conversations::lock(tx, &locks).await?;
    conversations::enter(tx, &entries).await
}

/// Locks the rows of the runs in the batch that this term still owns; the value tells whether the run has ended. An
/// end locks its row by writing it.
async fn hold(tx: &mut PgConnection, batch: &[Change]) -> Result<HashMap<Key, bool>> {
    let goes_on = batch.iter().filter(|change| !change.is_end());
    let mut keys: Vec<Key> = goes_on.filter_map(Change::key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    keys.sort_unstable_by_key(|key| key.run);
    keys.dedup();
    store::hold(tx, &keys).await
}

/// Writes the ends of the batch. The value tells whether the run had ended before: a commit whose answer was lost is
/// made again, and must change nothing.
async fn end(tx: &mut PgConnection, batch: &[Change]) -> Result<HashMap<Key, bool>> {
    let mut ends: Vec<(Key, &End)> = Vec::new();
    for change in batch.iter().filter(|change| change.is_whole()) {
        if let Change::End { key, end, .. } = change {
            ends.push((*key, &**end));
        }
    }
    if ends.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ended: HashMap<Key, bool> = store::end_runs(tx, &ends)
        .await?
        .into_iter()
        .map(|key| (key, false))
        .collect();
    let others = ends.iter().map(|(key, _)| *key);
    let mut others: Vec<Key> = others.filter(|key| !ended.contains_key(key)).collect();
    if !others.is_empty() {
        others.sort_unstable_by_key(|key| key.run);
        let known = store::hold(tx, &others).await?;
        ended.extend(known.into_iter().filter(|(_, has_ended)| *has_ended));
    }
    Ok(ended)
}

/// What an allowed change does.
enum Write {
    Now,
    /// It was written before.
    Before,
}

fn may_write(
    change: &Change,
    entered: &HashSet<Uuid>,
    (held, ended): (&HashMap<Key, bool>, &HashMap<Key, bool>),
) -> Result<Write> {
    if let Change::Begin {
        entry: Some(entry), ..
    } = change
        && !entered.contains(&entry.run)
    {
        let what = "Another run began in the conversation, or it was archived: ask again.";
        return Err(CONVERSATION_BUSY.because(what));
    }
    let Some(key) = change.key() else {
        return Ok(Write::Now);
    };
    if change.live().is_lost() {
        return Err(FENCED.because("The run was taken over."));
    }
    if !change.is_whole() {
        return Err(INCOMPLETE.because("An earlier write of this run failed."));
    }
    let known = if change.is_end() { ended } else { held };
    match known.get(&key) {
        Some(false) => Ok(Write::Now),
        Some(true) if change.is_end() => Ok(Write::Before),
        _ => Err(FENCED.because("The run was taken over or has ended.")),
    }
}
