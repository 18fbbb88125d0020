//! Keeps a connection's key out of what its provider says: an endpoint may echo the header it was sent. Works on a
//! stream, so it holds back an end that may be the beginning of the key.

use crate::kit::Secret;

const HIDDEN: &str = "[secret]";
/// Shorter keys are placeholders such as `none`, which servers without keys are given: not secret, and words.
const SECRET_BYTES_MIN: usize = 12;

pub(super) struct Scrub {
    secret: Option<Secret>,
    held: String,
}

impl Scrub {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self {
            secret: secret.filter(|secret| secret.expose().len() >= SECRET_BYTES_MIN),
            held: String::new(),
        }
    }

    /// A text, whole.
    pub(super) fn text(&self, text: &str) -> String {
        match &self.secret {
            Some(secret) => text.replace(secret.expose(), HIDDEN),
            None => text.to_owned(),
        }
    }

    /// More of a stream: what of it is safe to show now.
    pub(super) fn push(&mut self, more: String) -> String {
        let Some(secret) = &self.secret else {
            return more;
        };
        self.held.push_str(&more);
        let mut clean = self.held.replace(secret.expose(), HIDDEN);
        let secret = secret.expose().as_bytes();
        let most = clean.len().min(secret.len() - 1);
        let keep = (1..=most)
            .rev()
            .find(|&n| clean.as_bytes().ends_with(&secret[..n]))
            .unwrap_or(0);
        self.held = clean.split_off(clean.len() - keep);
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
}
