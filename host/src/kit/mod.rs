//! What every room uses and no room owns: errors, time, ids, the database, HTTP conventions.
//! Knows no capability; imports nothing of the host but itself.

pub mod base;
pub mod clock;
pub mod commit;
pub mod db;
pub mod egress;
pub mod error;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod metrics;
pub mod random;
pub mod secret;
pub mod tasks;
pub mod trace;
pub mod unpack;

pub use base::Base;
pub use clock::Clock;
pub use error::{Code, Error, Result};
pub use ids::{Ids, OrgId};
pub use random::Random;
pub use secret::Secret;
pub use tasks::Tasks;
pub use trace::{Trace, Tracing};
