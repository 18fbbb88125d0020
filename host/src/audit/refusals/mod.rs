//! What was refused: the layer that writes it down, and which routes are privileged.

mod layer;
pub mod privileged;

pub use layer::{Refusals, watch};
