//! The conventions every endpoint keeps: problems, bodies, pages, idempotency, request ids, SSE.

pub mod body;
pub mod csv;
pub mod cursor;
pub mod idempotency;
pub mod incoming;
pub mod page;
pub mod problem;
pub mod request;
pub mod serve;
pub mod sse;
pub mod store;

pub use body::{Body, Params, Query};
pub use cursor::{Cursor, Cursors};
pub use page::{Page, PageQuery};
pub use problem::Problem;
pub use request::RequestId;
