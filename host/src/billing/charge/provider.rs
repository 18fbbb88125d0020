//! What a payment provider does for the host, whoever it is: `none` and Stripe stand behind it. It asks once and says
//! what is known of the outcome; whether it is safe to ask again, its callers decide.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use super::BillingRowId;
use crate::kit::{OrgId, Result};

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::billing) enum Outcome<T> {
    Done(T),
    /// It has a report of this identifier.
    Again,
    /// It will not do it, and did nothing.
    Refused(String),
    /// It did nothing, and may later.
    Later {
        said: String,
        after: Option<Duration>,
        /// It would say the same to everybody.
        away: bool,
    },
    /// It may have been done. `answered` where it said so itself, and would say so again under the same key.
    Unknown {
        said: String,
        answered: bool,
    },
}

/// One report of usage.
#[derive(Clone, Debug)]
pub(in crate::billing) struct Report {
    pub(in crate::billing) id: BillingRowId,
    pub(in crate::billing) customer: String,
    pub(in crate::billing) meter: String,
    pub(in crate::billing) value: i64,
    pub(in crate::billing) at: OffsetDateTime,
    /// Names the request in all attempts that may be answered with one answer.
    pub(in crate::billing) key: String,
}

/// Who is to become a customer.
#[derive(Clone, Debug)]
pub(in crate::billing) struct Newcomer {
    pub(in crate::billing) org: OrgId,
    pub(in crate::billing) slug: String,
    pub(in crate::billing) key: String,
}

/// What the provider tells of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::billing) struct Told {
    /// The same however often it is told.
    pub(in crate::billing) event: String,
    pub(in crate::billing) about: About,
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::billing) enum About {
    Subscription(Change),
    /// Reports that it took and does not count, in its words.
    Uncounted(String),
    /// Nothing that matters here.
    Other,
}

/// What became of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::billing) struct Change {
    pub(in crate::billing) subscription: String,
    pub(in crate::billing) customer: String,
    pub(in crate::billing) at: OffsetDateTime,
    pub(in crate::billing) gives: Gives,
}

/// What a subscription decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::billing) enum Gives {
    Tier(String),
    /// The tier of those who were given none.
    Default,
    /// Not paid yet, or not paid lately: what it has stays.
    Nothing,
    /// No price of it gives a tier.
    Unknown(Vec<String>),
}

/// A payment provider.
pub(in crate::billing) trait Provider: fmt::Debug + Send + Sync {
    /// What usage is reported of; nothing where it is not reported at all.
    fn meters(&self) -> Vec<String>;

    fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Outcome<()>>;

    /// Makes a customer; its name there.
    fn make_customer<'a>(&'a self, newcomer: &'a Newcomer) -> BoxFuture<'a, Outcome<String>>;

    /// Finds the customer that an organization was made before.
    fn find_customer(&self, org: OrgId) -> BoxFuture<'_, Outcome<Option<String>>>;

    /// Reads what it told, once it is certain that the provider did.
    fn hear(&self, signature: &str, body: &[u8], now: OffsetDateTime) -> Result<Told>;
}
