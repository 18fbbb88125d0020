//! A constant for each guest of `tests/guests`: one that no test names is dead code, and dead code does not compile.

use std::fmt::Write as _;
use std::path::Path;

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts by environment"
)]
fn main() {
    let folder = Path::new("guests/examples");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("guests have a folder")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    names.sort();
    let mut code = String::new();
    for name in names {
        let constant = name.to_uppercase();
        writeln!(
            code,
            "pub(crate) const {constant}: Guest = Guest::new(\"{name}\");"
        )
        .expect("memory");
    }
    let out = std::env::var("OUT_DIR").expect("cargo names it");
    std::fs::write(Path::new(&out).join("guests.rs"), code).expect("the folder is cargo's");
}
