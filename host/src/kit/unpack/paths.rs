//! Which paths of an archive may be written: relative ones of plain names, short enough and not too deep.

use std::path::PathBuf;

use super::Refused;

const PATH_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 255;
const DEPTH_MAX: usize = 32;
const SHOWN_CHARS: usize = 200;

/// The path without its first `strip` folders; none where nothing is left of it.
pub(super) fn plain(path: &[u8], strip: usize) -> Result<Option<PathBuf>, Refused> {
    let refuse = |why| Err(Refused::Path(shown(path), why));
    let Ok(text) = std::str::from_utf8(path) else {
        return refuse("it is not UTF-8");
    };
    if text.len() > PATH_BYTES_MAX {
        return refuse("it is too long");
    }
    if text.starts_with('/') {
        return refuse("it begins at the root");
    }
    if text.contains(|c: char| c.is_control() || c == '\\') {
        return refuse("it has a backslash or a control character");
    }
    let names = || text.split('/').filter(|name| !matches!(*name, "" | "."));
    if names().any(|name| name == "..") {
        return refuse("it leads out of its folder");
    }
    if names().any(|name| name.len() > NAME_BYTES_MAX) || names().count() > DEPTH_MAX + strip {
        return refuse("it is too long or too deep");
    }
    let left: PathBuf = names().skip(strip).collect();
    Ok((!left.as_os_str().is_empty()).then_some(left))
}

/// A path as it may be told: short, and nothing that drives a terminal.
pub(super) fn shown(path: &[u8]) -> String {
    let harmless = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let text = String::from_utf8_lossy(path);
    text.chars().take(SHOWN_CHARS).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        let taken = |path: &str, strip| {
            let path = plain(path.as_bytes(), strip).expect("it is plain");
            path.map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(taken("package/a/b", 0).as_deref(), Some("package/a/b"));
        assert_eq!(taken("./package//a/b/", 1).as_deref(), Some("a/b"));
        assert_eq!(taken("package/", 1), None);
        assert_eq!(taken("...", 0).as_deref(), Some("..."));
        let long = "n".repeat(256);
        let deep = "d/".repeat(40);
        let refused = [
            "/etc/passwd",
            "../a",
            "a/../b",
            "a/..",
            "a\\b",
            "a\nb",
            "a\0b",
            &long,
            &deep,
        ];
        for path in refused {
            assert!(plain(path.as_bytes(), 0).is_err(), "{path:?}");
        }
        assert!(plain(b"a/\xff", 0).is_err());
    }
}
