//! Where an agent's channels point, and where a move takes them. Nothing here asks or writes: moves do, under the lock of
//! the agent's row.

use time::OffsetDateTime;

use super::choose::{no_canary, no_stable};
use super::judge::{Thresholds, Watch};
use super::{Channel, NO_PREVIOUS};
use crate::kit::error::CONFLICT;
use crate::kit::{Error, Result};

/// How many versions back a rollback may go.
const EARLIER_MAX: usize = 50;

/// Where an agent's channels point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pointers {
    pub(super) stable: i32,
    pub(super) canary: Option<(i32, f64)>,
    pub(super) earlier: Vec<i32>,
    /// How the canary is judged; none where it is not.
    pub(super) watch: Option<Watch>,
}

/// What a move wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    Stable(i32),
    /// A version, its share, and how it is judged.
    Canary(i32, f64, Option<Thresholds>),
    /// What was before.
    Back(Channel),
}

impl To {
    pub(super) fn channel(self) -> Channel {
        match self {
            Self::Stable(_) => Channel::Stable,
            Self::Canary(..) => Channel::Canary,
            Self::Back(channel) => channel,
        }
    }

    /// The version that is new there.
    pub(super) fn version(self) -> Option<i32> {
        match self {
            Self::Stable(number) | Self::Canary(number, ..) => Some(number),
            Self::Back(_) => None,
        }
    }
}

impl Pointers {
    pub(super) fn at(&self, channel: Channel) -> Option<i32> {
        match channel {
            Channel::Stable => Some(self.stable),
            Channel::Canary => self.canary.map(|(version, _)| version),
        }
    }

    /// Where they point after a move of `agent` at this time. `living` are the earlier versions that were not deleted.
    pub(super) fn moved(
        before: Option<&Self>,
        (agent, now): (&str, OffsetDateTime),
        to: To,
        living: &[i32],
    ) -> Result<Self> {
        let mut after = match (to, before) {
            (To::Stable(number), None) => Self {
                stable: number,
                ..Self::default()
            },
            (To::Stable(number), Some(before)) => before.onto(number),
            (_, None) => return Err(no_stable(agent)),
            (To::Canary(number, weight, judge), Some(before)) => {
                before.with_canary((number, weight), judge, now)?
            }
            (To::Back(channel), Some(before)) => before.back(agent, channel, living)?,
        };
        after.watch = after.watch.filter(|_| after.canary.is_some());
        Ok(after)
    }

    /// Once `number` is stable; a canary on it has become it.
    fn onto(&self, number: i32) -> Self {
        let mut after = self.clone();
        if after.stable != number {
            after.earlier.push(after.stable);
            let beyond = after.earlier.len().saturating_sub(EARLIER_MAX);
            after.earlier.drain(..beyond);
        }
        after.stable = number;
        after.canary = after.canary.filter(|(canary, _)| *canary != number);
        after
    }

    /// With a canary. What the same one did so far counts on where it was judged already.
    fn with_canary(
        &self,
        (number, weight): (i32, f64),
        judge: Option<Thresholds>,
        now: OffsetDateTime,
    ) -> Result<Self> {
        if self.stable == number {
            return Err(CONFLICT.because(format!(
                "Version {number} is stable: it has every run that the canary leaves. Name another version."
            )));
        }
        let is_same = self.at(Channel::Canary) == Some(number);
        let since = self.watch.filter(|_| is_same).map(|watch| watch.since);
        Ok(Self {
            canary: Some((number, weight)),
            watch: judge.map(|thresholds| Watch {
                thresholds,
                since: since.unwrap_or(now),
            }),
            ..self.clone()
        })
    }

    fn back(&self, agent: &str, channel: Channel, living: &[i32]) -> Result<Self> {
        let mut after = self.clone();
        if channel == Channel::Canary {
            after.canary.take().ok_or_else(|| no_canary(agent))?;
            return Ok(after);
        }
        while let Some(number) = after.earlier.pop() {
            if living.contains(&number) {
                after.stable = number;
                after.canary = after.canary.filter(|(canary, _)| *canary != number);
                return Ok(after);
            }
        }
        Err(no_previous(agent, self.stable))
    }
}

fn no_previous(agent: &str, stable: i32) -> Error {
    NO_PREVIOUS.because(format!(
        "Nothing was stable before version {stable} of `{agent}`: promote the version you want."
    ))
}
