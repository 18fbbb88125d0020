//! What becomes of versions beside their channels: labels, deletion, and the bytes and artifacts that nothing needs.

mod collect;
mod delete;
pub mod http;
mod label;
mod store;

use crate::kit::Code;

pub use label::Labels;

pub const VERSION_IN_USE: Code = Code::new("version_in_use", 409, "The version is in use");
pub const LABEL_TAKEN: Code = Code::new("label_taken", 409, "Another version has the label");
