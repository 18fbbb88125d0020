//! The provider of hosts that charge nobody: it takes no reports, has no customers and tells nothing.

use futures_util::future::{BoxFuture, ready};
use time::OffsetDateTime;

use super::provider::{Newcomer, Outcome, Provider, Report, Told};
use crate::kit::error::NOT_FOUND;
use crate::kit::{OrgId, Result};

#[derive(Debug)]
pub(super) struct Nobody;

fn refused<T: Send + 'static>() -> BoxFuture<'static, Outcome<T>> {
    let said = "`billing.provider` is `none`".to_owned();
    Box::pin(ready(Outcome::Refused(said)))
}

impl Provider for Nobody {
    fn meters(&self) -> Vec<String> {
        Vec::new()
    }

    fn report<'a>(&'a self, _: &'a Report) -> BoxFuture<'a, Outcome<()>> {
        refused()
    }

    fn make_customer<'a>(&'a self, _: &'a Newcomer) -> BoxFuture<'a, Outcome<String>> {
        refused()
    }

    fn find_customer(&self, _: OrgId) -> BoxFuture<'_, Outcome<Option<String>>> {
        refused()
    }

    fn hear(&self, _: &str, _: &[u8], _: OffsetDateTime) -> Result<Told> {
        Err(NOT_FOUND
            .because("This host charges through no provider: `billing.provider` is `none`."))
    }
}
