//! The settings of a version: names and texts that its component carries in a custom section, so that they never change
//! for it and are signed with it. Read at upload and stored with the manifest; guests read them without a journal.

use std::collections::BTreeMap;

use wasmtime::component::HasData;

use super::manifest::MANIFEST_REFUSED;
use crate::guardrails::redact::{self, Counts, Set};
use crate::kit::Result;
use crate::sandbox::bindings::bulkhead::agent::settings as wit;
use crate::sandbox::{Host, sections};

/// The custom section that holds them, as JSON.
pub const SECTION: &str = "bulkhead:settings";

/// The contract's bounds.
const SETTINGS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 4 << 10;
/// Every character of every value may be written as six.
const SECTION_BYTES_MAX: usize = 2 << 20;

/// By name.
pub type Settings = BTreeMap<String, String>;

/// The settings that a component carries, checked; every fault is a field of one error.
pub(super) fn of(component: &[u8]) -> Result<Settings> {
    let refused = |why: &str| {
        MANIFEST_REFUSED.because(format!("The section `{SECTION}` is not usable: {why}."))
    };
    let section = match sections::named(component, SECTION)[..] {
        [] => return Ok(Settings::new()),
        [section] => section,
        _ => return Err(refused("there are several; settings stand in one")),
    };
    if section.len() > SECTION_BYTES_MAX {
        return Err(refused("it is larger than 2 MiB"));
    }
    let settings: Settings = serde_json::from_slice(section)
        .map_err(|error| refused("it must be a JSON object of strings").caused_by(error))?;
    check(&settings)?;
    Ok(settings)
}

/// What cannot be a version's settings, by name.
pub fn check(settings: &Settings) -> Result<()> {
    let mut faults = MANIFEST_REFUSED.because("The settings are not usable.");
    if settings.len() > SETTINGS_MAX {
        faults = faults.field("/settings", "at most 64");
    }
    for (name, value) in settings.iter().take(SETTINGS_MAX) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        let at = format!("/settings/{}", shown.escape_debug());
        if !is_name(name) {
            let what = "a letter first, then letters, digits, `_`, `.` and `-`, at most 64";
            faults = faults.field(at, what);
        } else if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
            faults = faults.field(at, "at most 4 KiB, without NUL");
        } else if is_credential(name, value) {
            let what = "looks like a credential: settings are shown to whoever may see the version";
            faults = faults.field(at, what);
        }
    }
    if faults.fields.is_empty() {
        return Ok(());
    }
    Err(faults)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_credential(name: &str, value: &str) -> bool {
    let mut pair = serde_json::json!({ name: value });
    redact::json(Set::SECRETS, &mut pair, &mut Counts::default());
    pair[name] != value
}

/// The settings of a guest's version, for one call.
pub struct View<'a> {
    pub settings: &'a Settings,
    pub host: &'a mut Host,
}

pub struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

impl wit::Host for View<'_> {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.host.crossing(name.len())?;
        let value = self.settings.get(&name).cloned();
        self.host.answer(value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    async fn all(&mut self) -> wasmtime::Result<Vec<wit::Setting>> {
        let pairs = self.settings.iter();
        let bytes = pairs.map(|(name, value)| name.len() + value.len()).sum();
        self.host.answer(bytes)?;
        let all = self.settings.iter().map(|(name, value)| wit::Setting {
            name: name.clone(),
            value: value.clone(),
        });
        Ok(all.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> Option<String> {
        let settings = Settings::from([(name.to_owned(), value.to_owned())]);
        let error = check(&settings).err()?;
        error.fields.first().map(|field| field.detail.to_string())
    }

    #[test]
    fn what_cannot_be_a_setting_is_told_by_name() {
        assert_eq!(refusal("tone", "formal"), None);
        assert_eq!(refusal("a.b-c_1", &"x".repeat(4 << 10)), None);
        let refused = |name: &str, value: &str, why: &str| {
            let told = refusal(name, value).unwrap_or_default();
            assert!(told.contains(why), "{name}: {told}");
        };
        refused("", "x", "a letter first");
        refused("1st", "x", "a letter first");
        refused("a b", "x", "a letter first");
        refused(&"n".repeat(65), "x", "at most 64");
        refused("tone", &"x".repeat((4 << 10) + 1), "at most 4 KiB");
        refused("tone", "a\0b", "without NUL");
        refused("password", "hunter2hunter2", "credential");
        refused(
            "tone",
            "Bearer abcdefghijklmnopqrstuvwxyz012345",
            "credential",
        );
        let many = (0..65).map(|n| (format!("n{n}"), String::new()));
        assert!(check(&many.collect()).is_err());
    }
}
