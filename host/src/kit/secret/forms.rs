//! Every way a secret may be written by whoever was given it and says it again: as it is, in base64 at any place of a
//! longer text, hexadecimal, percent-encoded and reversed. What a host holds is hidden from what others answer it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::Secret;

const HIDDEN: &str = "[secret]";
/// Shorter keys are placeholders such as `none`, which servers without keys are given: not secret, and words.
const SECRET_BYTES_MIN: usize = 12;

/// What a secret looks like. Prints nothing.
#[derive(Clone, Default)]
pub struct Forms(Vec<Secret>);

impl Forms {
    pub fn of(secret: &Secret) -> Self {
        let plain = secret.expose();
        if plain.len() < SECRET_BYTES_MIN {
            return Self::default();
        }
        let hex = hex::encode(plain);
        let percent = |hex: &str| -> String {
            let pairs = hex.as_bytes().chunks(2);
            pairs
                .flat_map(|pair| ['%', char::from(pair[0]), char::from(pair[1])])
                .collect()
        };
        let mut forms = vec![plain.to_owned(), plain.chars().rev().collect()];
        for hex in [hex.clone(), hex.to_ascii_uppercase()] {
            forms.push(percent(&hex));
            forms.push(hex);
        }
        for before in 0..3 {
            forms.extend(base64_behind(before, plain.as_bytes()));
        }
        forms.push(percent_where_needed(plain));
        forms.sort_unstable();
        forms.dedup();
        Self(forms.into_iter().map(Secret::new).collect())
    }

    pub fn none() -> Self {
        Self::default()
    }

    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without it.
    pub fn hide(&self, mut text: String) -> String {
        for form in &self.0 {
            if text.contains(form.expose()) {
                text = text.replace(form.expose(), HIDDEN);
            }
        }
        text
    }

    /// How many bytes at the end of a text may be the beginning of it.
    pub fn begun(&self, text: &str) -> usize {
        let begun = |form: &Secret| {
            let form = form.expose().as_bytes();
            let most = text.len().min(form.len() - 1);
            let mut lengths = (1..=most).rev();
            lengths.find(|&n| text.as_bytes().ends_with(&form[..n]))
        };
        self.0.iter().filter_map(begun).max().unwrap_or(0)
    }
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forms")
    }
}

/// In both alphabets, behind so many bytes of something else: the digits that are the same whatever stands around it.
fn base64_behind(before: usize, secret: &[u8]) -> [String; 2] {
    let bytes = [&[0; 2][..before], secret].concat();
    let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let digits = |encoded: String| encoded[from..to].to_owned();
    [
        digits(STANDARD.encode(&bytes)),
        digits(URL_SAFE.encode(&bytes)),
    ]
}

/// As forms and query strings are encoded.
fn percent_where_needed(plain: &str) -> String {
    let mut encoded = String::with_capacity(plain.len());
    for byte in plain.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_however_it_is_written() {
        let plain = "canary+4f1c/9ab27e60d35518";
        let forms = Forms::of(&Secret::new(plain));
        let written = [
            plain.to_owned(),
            plain.chars().rev().collect(),
            hex::encode(plain),
            hex::encode_upper(plain),
            STANDARD.encode(plain),
            URL_SAFE.encode(plain),
            STANDARD.encode(format!("a:{plain}!")),
            STANDARD.encode(format!("key={plain}")),
            STANDARD.encode(format!("Bearer {plain} and more")),
            percent_where_needed(plain),
        ];
        for text in written {
            let hidden = forms.hide(format!("it is {text}."));
            assert!(hidden.contains(HIDDEN), "{text} in {hidden}");
            assert!(!hidden.contains(&text), "{hidden}");
        }
        for cut in 1..plain.len() {
            assert_eq!(forms.begun(&format!("; {}", &plain[..cut])), cut);
        }
        let short = Forms::of(&Secret::new("none"));
        assert_eq!(short.hide("none of it".to_owned()), "none of it");
        assert_eq!(format!("{forms:?}"), "Forms");
    }
}
