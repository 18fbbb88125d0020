//! Text of others made harmless before a terminal sees it: guests, files and hosts may hold escape sequences, control
//! characters and marks that turn the direction of writing. Every printed text passes here.

/// Several lines of text: newlines and tabs stay, whatever else could drive a terminal becomes `�`.
pub(in crate::cli) fn text(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| {
            if matches!(c, '\n' | '\t') || !drives(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// The same as one line.
pub(in crate::cli) fn line(line: &str) -> String {
    let words: Vec<_> = line
        .split(['\n', '\r', '\t'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    text(&words.join(" "))
}

/// JSON text with the same value: the characters in question are written as escapes, which a parser undoes.
pub(in crate::cli) fn json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if drives(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a character does something rather than show something.
fn drives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks of direction, embeddings, overrides, isolates.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators, invisible operators, interlinear marks, the byte order mark.
            | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{feff}'
            // Tags: text that nobody sees.
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{json, line, text};

    #[test]
    fn nothing_drives_the_terminal() {
        assert_eq!(text("a\x1b[2Jb\u{9b}31mc\r\n\td\u{7}"), "a�[2Jb�31mc\n\td�");
        assert_eq!(text("pay \u{202e}eert\u{202c} now"), "pay �eert� now");
        assert_eq!(text("déjà vu — 日本 👍"), "déjà vu — 日本 👍");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("two\n  lines\r\nand\tmore\n"), "two lines and more");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "text": "a\u{202e}b\u{9b}c\u{e0041}\n" });
        let safe = json(&value.to_string());
        assert!(safe.is_ascii(), "{safe}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
            value
        );
    }
}
