//! What of other toolchains and their registries answers here. A test that needs one that does not is left out, and says
//! so where nobody captures it; where `.ci/run` found them to answer, it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(60);

/// Why these words do not succeed.
pub(super) async fn answer(words: &[&str]) -> Result<(), String> {
    let mut ask = Command::new(words[0]);
    ask.args(&words[1..])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match timeout(WITHIN, ask.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Ok(Err(error)) => Err(format!("{}: {error}", words[0])),
        Err(_) => Err(format!("`{}` does not answer", words.join(" "))),
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::explicit_write,
    reason = "what `.ci/run` says of its machine; a test that passes does not hide what is written so"
)]
pub(crate) fn left_out(what: &str, why: &str) {
    let line = format!("LEFT OUT: {what} is not tested here: {why}");
    let must = std::env::var_os("BULKHEAD_CI_REGISTRIES").is_some();
    assert!(!must, "{line}");
    writeln!(std::io::stderr(), "{line}").unwrap();
}
