//! Keeps a connection's key out of what its provider says: an endpoint may echo the header it was sent, in whatever
//! form. Works on a stream, so it holds back an end that may be the beginning of the key.

use crate::kit::Secret;
use crate::kit::secret::Forms;

pub(super) struct Scrub {
    key: Forms,
    held: String,
}

impl Scrub {
    pub(super) fn new(key: Option<Secret>) -> Self {
        Self {
            key: key.as_ref().map_or_else(Forms::none, Forms::of),
            held: String::new(),
        }
    }

    /// A text, whole.
    pub(super) fn text(&self, text: &str) -> String {
        self.key.hide(text.to_owned())
    }

    /// More of a stream: what of it is safe to show now.
    pub(super) fn push(&mut self, more: String) -> String {
        if self.key.is_none() {
            return more;
        }
        self.held.push_str(&more);
        let mut clean = self.key.hide(std::mem::take(&mut self.held));
        self.held = clean.split_off(clean.len() - self.key.begun(&clean));
        clean
    }

    /// The stream ended: what was held back was not the key.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_split_anywhere_is_hidden() {
        let key = "sk-sk-canary-1234";
        let text = "é sk-sk-sk-canary-1234, sk-sk-canary-123 sk-";
        for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
            let mut scrub = Scrub::new(Some(Secret::new(key)));
            let mut out = scrub.push(text[..at].to_owned());
            out.push_str(&scrub.push(text[at..].to_owned()));
            out.push_str(&scrub.rest());
            assert_eq!(out, "é sk-[secret], sk-sk-canary-123 sk-");
        }
    }

    #[test]
    fn a_key_that_was_encoded_is_hidden_too() {
        let key = "canary-4f1c9ab27e60d35518";
        let said = format!(
            "{} and {} end",
            hex::encode(key),
            key.chars().rev().collect::<String>()
        );
        for at in 0..=said.len() {
            let mut scrub = Scrub::new(Some(Secret::new(key)));
            let mut out = scrub.push(said[..at].to_owned());
            out.push_str(&scrub.push(said[at..].to_owned()));
            out.push_str(&scrub.rest());
            assert_eq!(out, "[secret] and [secret] end");
        }
    }
}
