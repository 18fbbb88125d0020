//! CSV as RFC 4180 writes it, with a guard: a cell that a spreadsheet would take for a formula is told as text. Called
//! by whatever is exported.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Rows, as they are added.
#[derive(Clone, Debug, Default)]
pub struct Csv(String);

impl Csv {
    /// With its header.
    pub fn new(columns: &[&str]) -> Self {
        let mut csv = Self::default();
        csv.row(columns.iter().map(|column| (*column).to_owned()));
        csv
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        for (at, text) in cells.into_iter().enumerate() {
            if at > 0 {
                self.0.push(',');
            }
            self.0.push_str(&cell(&text));
        }
        self.0.push_str("\r\n");
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a file to keep.
    pub fn download(self, name: &str) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{name}\""),
            ),
        ];
        (headers, self.0).into_response()
    }
}

/// One cell. A number stays a number, its sign included.
pub fn cell(text: &str) -> String {
    let number = text.strip_prefix('-').unwrap_or(text);
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number;
    let guard = if formula { "'" } else { "" };
    if formula || text.contains([',', '"', '\r', '\n']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Csv, cell};

    #[test]
    fn cells_are_text_and_never_formulas() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.row(["x,\"y\"".to_owned(), "-1.5".to_owned()]);
        assert_eq!(csv.as_str(), "a,b\r\n\"x,\"\"y\"\"\",-1.5\r\n");
        for formula in [
            "=1+1", "+1+1", "-1+1", "@a", "\t=1", "\r=1", "\n=1", "-", "=\"a\"",
        ] {
            let guarded = cell(formula);
            assert!(
                guarded.starts_with("\"'") && guarded.ends_with('"'),
                "{guarded}"
            );
        }
    }
}
