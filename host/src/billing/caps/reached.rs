//! The refusal of a cap: at the entry with all a program needs to know, and in the middle of a run as what ends it.

use crate::billing::period::Period;
use crate::billing::tiers::{Cap, Dimension};
use crate::kit::{Code, Error};

pub const CAP_REACHED: Code = Code::new("cap_reached", 402, "A cap of the month is reached");

/// A cap was reached in the middle of a run: what it said so far stands, and it ends with `cap:` and the dimension.
pub fn ends(dimension: Dimension) -> Error {
    let detail = format!("the month's cap of {} is reached", dimension.name());
    CAP_REACHED
        .because(detail)
        .member("dimension", dimension.name())
}

/// The cap an error tells of, where it does.
pub fn reached_of(error: &Error) -> Option<Dimension> {
    let more = error.more.as_deref().filter(|_| error.is(CAP_REACHED))?;
    Dimension::parse(more.members.get("dimension")?.as_str()?)
}

/// The refusal, with what a program needs to know of it.
pub(super) fn reached(cap: &Cap, used: i128, period: Period) -> Error {
    let (dimension, end) = (cap.dimension, period.ends());
    let end = end
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default();
    let name = dimension.name();
    let shown = |amount| dimension.show(amount);
    let detail = format!(
        "The month's cap of {} {name} is reached; it ends at {end}.",
        shown(cap.cap)
    );
    CAP_REACHED
        .because(detail)
        .member("dimension", name)
        .member("used", shown(used))
        .member("cap", shown(cap.cap))
        .member("period_end", end)
}
