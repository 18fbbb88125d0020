//! The configuration that the version was deployed with: `bulkhead deploy … --setting name=value`. It never changes for a
//! version, and is no place for secrets. Agents read it wherever they need it.

use std::collections::BTreeMap;

use crate::host;

/// The value of a setting; `None` where it is not set.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output, settings};
///
/// fn greet(_: Turn) -> Result<Outcome> {
///     match settings::get("tone").as_deref() {
///         Some("formal") => output::text("Good day."),
///         _ => output::text("Hi!"),
///     }
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(MockHost::new().run(greet, "hi").text(), "Hi!");
/// assert_eq!(MockHost::new().setting("tone", "formal").run(greet, "hi").text(), "Good day.");
/// ```
#[must_use]
pub fn get(name: &str) -> Option<String> {
    host::setting(name)
}

/// All settings, by name.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output, settings};
///
/// fn list(_: Turn) -> Result<Outcome> {
///     for (name, value) in settings::all() {
///         output::text(&format!("{name} is {value}. "));
///     }
///     Ok(Outcome::EndTurn)
/// }
///
/// let host = MockHost::new().setting("tone", "formal").setting("length", "short");
/// assert_eq!(host.run(list, "how are you set?").text(), "length is short. tone is formal. ");
/// ```
#[must_use]
pub fn all() -> BTreeMap<String, String> {
    host::settings()
}
