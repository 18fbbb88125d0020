//! `bulkhead publishers`: whose signatures an organization takes on versions, and whether it takes others.

mod seed;
mod verbs;

pub(super) use self::seed::signature;
pub(super) use self::verbs::{Args, run};
