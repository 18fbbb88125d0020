//! What the compile child gives up: first what it inherited, then, once its threads run, everything it could still ask
//! the system for. Called by `child.rs`. What a system may refuse (namespaces, another user) is tried; limits,
//! privileges and the end with the parent must hold, or the child does not compile.

use std::io::{Error, Result};

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::Config;

/// The user that owns nothing, by custom.
const NOBODY: u32 = 65_534;
/// Below guests (5) and the host (0), and not so low that spinning guests leave it nothing.
const NICENESS: i32 = 10;
/// Address space beside what may be written to: reservations of the allocator and of threads.
const RESERVED_BYTES: u64 = 1 << 30;
/// What the child is allowed to have open beyond its three pipes before it lets everything go.
const INHERITED_MAX: i32 = 1_024;

/// Leaves the files, the network, the user and the privileges that came with the host. One thread runs yet.
pub(super) fn leave(parent: u32) -> Result<()> {
    close_inherited();
    rustix::process::chdir("/")?;
    // The first to go when the machine has no memory left. Reading and writing need /proc; without it nothing is lost.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = rustix::process::nice(NICENESS);
    // An empty network, in a user namespace where it takes one. Not every system lets a process give up its network.
    let _ = unshare(CloneFlags::CLONE_NEWNET)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET));
    if geteuid().is_root() {
        let _ = setgroups(&[])
            .and_then(|()| setgid(Gid::from_raw(NOBODY)))
            .and_then(|()| setuid(Uid::from_raw(NOBODY)));
    }
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    // After the change of user, which would forget it; the host starts children on threads that live as long as it does.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let alive = getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent);
    if !alive {
        return Err(Error::other("the host is gone"));
    }
    Ok(())
}

/// Limits from here on: no new file, process, thread or core, and so much CPU and memory.
pub(super) fn bind(config: &Config) -> Result<()> {
    let now = address_space().unwrap_or_default();
    let space = config.memory_bytes.saturating_add(RESERVED_BYTES);
    for (resource, most) in [
        (Resource::RLIMIT_AS, space.saturating_add(now)),
        (Resource::RLIMIT_DATA, config.memory_bytes),
        (Resource::RLIMIT_CPU, config.cpu_s),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, 0),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
    ] {
        setrlimit(resource, most, most)?;
    }
    Ok(())
}

/// Files that whoever started the host forgot to close.
fn close_inherited() {
    let listed = std::fs::read_dir("/proc/self/fd").map(|files| {
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        names
            .filter_map(|name| name.parse().ok())
            .collect::<Vec<i32>>()
    });
    let open = listed.unwrap_or_else(|_| (0..INHERITED_MAX).collect());
    for file in open.into_iter().filter(|file| *file > 2) {
        // The folder's own is among them, and closed already.
        let _ = nix::unistd::close(file);
    }
}

/// What is mapped now, the program included.
fn address_space() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
