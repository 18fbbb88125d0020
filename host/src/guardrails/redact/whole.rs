//! Redacting what is whole: a text, or every text in a JSON value.

use std::borrow::Cow;

use serde_json::Value;

use super::{Counts, Set, Stream, What, keyed};

/// The text as it may be stored, sent or said. Nothing is copied where nothing is found.
pub fn text<'a>(set: Set, text: &'a str, counts: &mut Counts) -> Cow<'a, str> {
    if let super::find::Next::Nothing = super::find::next(set, text.as_bytes(), 0, None, true) {
        return Cow::Borrowed(text);
    }
    let mut stream = Stream::new(set);
    let mut redacted = stream.text(text);
    redacted.push_str(&stream.rest());
    counts.join(&stream.counts());
    Cow::Owned(redacted)
}

/// Every text in the value; and where a field's name says that it holds a credential, its text whatever it is.
pub fn json(set: Set, value: &mut Value, counts: &mut Counts) {
    match value {
        Value::String(string) => {
            if let Cow::Owned(redacted) = text(set, string, counts) {
                *string = redacted;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| json(set, value, counts)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(secret) if set.secrets && is_secret(name, secret) => {
                        What::Secret.placeholder().clone_into(secret);
                        counts.add(What::Secret);
                    }
                    value => json(set, value, counts),
                }
            }
        }
        _ => {}
    }
}

fn is_secret(name: &str, value: &str) -> bool {
    !value.is_empty() && value != What::Secret.placeholder() && keyed::is_name(name)
}
