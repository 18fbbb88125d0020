//! Looks for whatever a program may find around itself.
use std::io::Read as _;

use bulkhead_sdk::{Outcome, Result, Turn, agent, output};

/// Looks around.
#[agent]
fn surroundings(_: Turn) -> Result<Outcome> {
    let mut input = Vec::new();
    let read = std::io::stdin().read_to_end(&mut input).unwrap_or(0);
    let found = [
        ("variables", std::env::vars_os().count()),
        ("arguments", std::env::args_os().count()),
        ("stdin", read),
        (
            "folder",
            usize::from(std::env::current_dir().is_ok_and(|dir| dir.read_dir().is_ok())),
        ),
        ("root", usize::from(std::fs::read_dir("/").is_ok())),
        ("file", usize::from(std::fs::read("/etc/passwd").is_ok())),
        (
            "escape",
            usize::from(std::fs::read("../../etc/passwd").is_ok()),
        ),
        ("new file", usize::from(std::fs::write("here", "x").is_ok())),
        (
            "thread",
            usize::from(std::thread::Builder::new().spawn(|| ()).is_ok()),
        ),
    ];
    for (what, count) in found {
        output::text(&format!("{what} {count}\n"));
    }
    Ok(Outcome::EndTurn)
}
