//! What an agent keeps for a conversation: texts under keys, there again in its next run. A run without a conversation
//! has a memory of its own, gone with its end. Agents call it as they need; the agent loop does not.

use crate::error::Result;
use crate::host;

/// How many keys one call to the host answers.
const PAGE: u32 = 1_000;

/// The value under a key; `None` where there is none.
///
/// A key is 1 to 256 bytes, without control characters.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, memory, mock::MockHost, output};
///
/// fn greet(_: Turn) -> Result<Outcome> {
///     let name = memory::get("name")?.unwrap_or_else(|| "stranger".to_owned());
///     output::text(&format!("Hello, {name}!"));
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().memory("name", "Ada").run(greet, "hi");
/// assert_eq!(transcript.text(), "Hello, Ada!");
/// ```
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) where the key cannot be one, [`Unavailable`](crate::Error::Unavailable) where the
/// memory cannot be read.
pub fn get(key: &str) -> Result<Option<String>> {
    host::remembered(key)
}

/// Keeps a value of at most 64 KiB under a key, in the place of the one before.
///
/// It is the conversation's once the run has ended, however it ends. Credentials are replaced before they are kept.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, memory, mock::MockHost};
///
/// fn count(_: Turn) -> Result<Outcome> {
///     let turns: u32 = memory::get("turns")?.and_then(|n| n.parse().ok()).unwrap_or(0);
///     memory::set("turns", &(turns + 1).to_string())?;
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().memory("turns", "2").run(count, "hi");
/// assert_eq!(transcript.memory["turns"], "3");
/// ```
///
/// # Errors
/// Those of [`get`], and [`Full`](crate::Error::Full) where there is no room: a memory holds at most 1,000 keys and
/// 256 KiB, where the host's operator did not say otherwise.
pub fn set(key: &str, value: &str) -> Result<()> {
    host::remember(key, value)
}

/// Deletes a key, and answers whether it was there.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, memory, mock::MockHost};
///
/// fn forget(_: Turn) -> Result<Outcome> {
///     assert!(memory::delete("name")?);
///     assert!(!memory::delete("name")?);
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().memory("name", "Ada").run(forget, "forget me");
/// assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
/// assert!(transcript.memory.is_empty());
/// ```
///
/// # Errors
/// Those of [`get`].
pub fn delete(key: &str) -> Result<bool> {
    host::forget(key)
}

/// All keys that begin with a prefix, which may be empty, in the order of their bytes.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, memory, mock::MockHost, output};
///
/// fn tasks(_: Turn) -> Result<Outcome> {
///     output::text(&memory::keys("task/")?.join(" "));
///     Ok(Outcome::EndTurn)
/// }
///
/// let host = MockHost::new().memory("task/2", "").memory("task/1", "").memory("name", "Ada");
/// assert_eq!(host.run(tasks, "what is to do?").text(), "task/1 task/2");
/// ```
///
/// # Errors
/// Those of [`get`].
pub fn keys(prefix: &str) -> Result<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = host::keys(prefix, keys.last().map(String::as_str), PAGE)?;
        let last = page.len() < PAGE as usize;
        keys.extend(page);
        if last {
            return Ok(keys);
        }
    }
}
