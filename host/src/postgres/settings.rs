//! The settings the server starts with. On the command line, not in the cluster's files: a newer
//! host brings its own to an old cluster. Who wants to tune runs a PostgreSQL of their own.

use std::{ffi::OsString, path::Path};

/// No way in but the private socket, one zone and one language whatever the machine's.
const ALWAYS: &[&str] = &[
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "timezone=UTC",
    "log_timezone=UTC",
    "lc_messages=C",
    // Statements are short and many.
    "jit=off",
    "random_page_cost=1.1",
    "work_mem=8MB",
    "maintenance_work_mem=64MB",
    // Errors of statements go to the host, which knows what they mean and logs without the values
    // a caller sent. The server's own matters stay here.
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=log",
    "log_min_error_statement=panic",
    "log_checkpoints=off",
    "log_autovacuum_min_duration=-1",
];

/// Every commit is on the disk before it is answered; checkpoints are rare and spread out.
const DURABLE: &[&str] = &[
    "max_connections=200",
    "shared_buffers=256MB",
    "effective_cache_size=1GB",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "wal_compression=on",
    "wal_buffers=16MB",
    "min_wal_size=256MB",
    "max_wal_size=2GB",
    "checkpoint_timeout=15min",
    "checkpoint_completion_target=0.9",
    // The hot tables are queues and logs: dead rows must go early.
    "autovacuum_naptime=15s",
    "autovacuum_vacuum_scale_factor=0.05",
];

/// For tests: many small databases, nothing to survive a power cut.
const FLEETING: &[&str] = &[
    "max_connections=300",
    "shared_buffers=128MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=512MB",
    "checkpoint_timeout=1h",
];

/// The arguments of `postgres` after its folder.
pub(super) fn arguments(durable: bool, socket: &Path) -> Vec<OsString> {
    let chosen = if durable { DURABLE } else { FLEETING };
    let mut arguments = Vec::new();
    for setting in ALWAYS.iter().chain(chosen) {
        arguments.extend(["-c".into(), OsString::from(setting)]);
    }
    // A list of folders: quoted, so that commas and blanks in the path stay in the path.
    let folder = socket.to_string_lossy().replace('"', "\"\"");
    arguments.extend([
        "-c".into(),
        format!("unix_socket_directories=\"{folder}\"").into(),
    ]);
    arguments
}
