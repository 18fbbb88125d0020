//! A memory as its run sees it: what the runs before left, and over it what the run itself wrote, in this life or an
//! earlier one. Bounded in keys and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Config;
use super::read::Read;

/// A memory, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    values: BTreeMap<String, String>,
    /// Keys that a version wrote which keeps personal data from clients.
    hidden: BTreeSet<String>,
    bytes: usize,
}

impl Kept {
    /// Takes what the runs before left: keys and values, and whether personal data in them is kept from clients.
    pub fn of(entries: impl IntoIterator<Item = (String, String, bool)>) -> Self {
        let mut kept = Self::default();
        for (key, value, hides_pii) in entries {
            kept.apply(key.clone(), Some(value));
            if hides_pii {
                kept.hidden.insert(key);
            }
        }
        kept
    }

    /// The value under a key, as the step of its reading keeps it.
    pub fn read(&self, key: &str) -> Option<Read> {
        let value = self.get(key)?.to_owned();
        Some(Read::of(value, self.hidden.contains(key)))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Why there is no room for a value under a key.
    pub fn refuses(&self, key: &str, value: &str, config: &Config) -> Option<String> {
        let before = self.values.get(key);
        if before.is_none() && self.values.len() >= config.memory_keys {
            return Some(format!(
                "A memory holds at most {} keys: delete some first.",
                config.memory_keys
            ));
        }
        let freed = before.map_or(0, |value| key.len() + value.len());
        let bytes = self.bytes - freed + key.len() + value.len();
        // A smaller value is taken also where the operator gives less by now.
        (bytes > config.memory_bytes && bytes > self.bytes).then(|| {
            format!(
                "A memory holds at most {} bytes of keys and values, and this would make it {bytes}: delete some first.",
                config.memory_bytes
            )
        })
    }

    /// Keeps a value, or deletes where there is none.
    pub fn apply(&mut self, key: String, value: Option<String>) {
        if let Some(before) = self.values.get(&key) {
            self.bytes -= key.len() + before.len();
        }
        self.hidden.remove(&key);
        match value {
            Some(value) => {
                self.bytes += key.len() + value.len();
                self.values.insert(key, value);
            }
            None => _ = self.values.remove(&key),
        }
    }

    /// The keys that begin with `prefix`, behind `after`, at most `limit`.
    pub fn keys(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Read> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let behind = self.values.range::<str, _>((from, Bound::Unbounded));
        let keys = behind.map(|(key, _)| key);
        keys.take_while(|key| key.starts_with(prefix))
            .take(limit)
            .map(|key| Read::of(key.clone(), self.hidden.contains(key)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pairs: &[(&str, &str)]) -> Kept {
        Kept::of(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned(), false)),
        )
    }

    fn keys(kept: &Kept, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let keys = kept.keys(prefix, after, limit);
        keys.into_iter().map(String::from).collect()
    }

    #[test]
    fn keys_come_in_order_and_in_pages() {
        let kept = kept(&[
            ("b/2", ""),
            ("a", ""),
            ("b/10", ""),
            ("b", ""),
            ("é", ""),
            ("c", ""),
        ]);
        assert_eq!(
            keys(&kept, "", None, 9),
            ["a", "b", "b/10", "b/2", "c", "é"]
        );
        assert_eq!(keys(&kept, "b", None, 2), ["b", "b/10"]);
        assert_eq!(keys(&kept, "b", Some("b/10"), 2), ["b/2"]);
        assert_eq!(keys(&kept, "b", Some("a"), 1), ["b"]);
        assert_eq!(keys(&kept, "b", Some("c"), 9), [""; 0]);
        assert_eq!(keys(&kept, "x", None, 9), [""; 0]);
    }

    #[test]
    fn its_bytes_are_those_of_what_is_there() {
        let config = Config {
            memory_keys: 2,
            memory_bytes: 10,
            ..Config::default()
        };
        let mut kept = kept(&[("a", "1234"), ("b", "1234")]);
        assert_eq!(kept.refuses("a", "12", &config), None);
        assert!(kept.refuses("a", "12345", &config).is_some());
        assert!(
            kept.refuses("c", "", &config)
                .is_some_and(|why| why.contains("2 keys"))
        );
        kept.apply("a".to_owned(), None);
        kept.apply("a".to_owned(), None);
        assert_eq!(kept.refuses("c", "1234", &config), None);
        assert!(kept.refuses("c", "12345", &config).is_some());
        kept.apply("b".to_owned(), Some("12".to_owned()));
        assert_eq!(kept.refuses("c", "123456", &config), None);
        // Less is taken where there is too much.
        let small = Config {
            memory_bytes: 1,
            ..config
        };
        assert_eq!(kept.refuses("b", "1", &small), None);
    }

    #[test]
    fn what_is_hidden_is_so_until_it_is_written_anew() {
        let mut kept = Kept::of([("a".to_owned(), "1".to_owned(), true)]);
        let hidden = |text: &str| Read::of(text.to_owned(), true);
        assert_eq!(kept.read("a"), Some(hidden("1")));
        assert_eq!(kept.keys("", None, 1), [hidden("a")]);
        kept.apply("a".to_owned(), Some("2".to_owned()));
        assert_eq!(kept.read("a"), Some(Read::of("2".to_owned(), false)));
    }
}
