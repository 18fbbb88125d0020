//! What the operator does, who holds the database: organizations and keys, migrations, and the nodes.

pub(super) mod keys;
pub(super) mod migrate;
pub(super) mod nodes;
