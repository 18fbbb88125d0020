//! The API as the client commands reach it: where the host is, who asks, and one way to send. What the command line
//! and the environment leave open is read from the `dev` that runs beside.

mod api;
mod paging;
mod target;

pub(super) use self::api::{Client, Opening, UNREACHABLE};
pub(super) use self::paging::Paging;
pub(super) use self::target::Target;
