//! CSV as RFC 4180 writes it, with a guard: a cell that a spreadsheet would take for a formula gets an apostrophe before
//! it. Called by whatever is exported.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::kit::{Error, Result};

/// What begins a formula somewhere.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Rows, as they are added.
#[derive(Debug)]
pub struct Csv(csv::Writer<Vec<u8>>);

impl Default for Csv {
    fn default() -> Self {
        let mut writer = csv::WriterBuilder::new();
        Self(
            writer
                .terminator(csv::Terminator::CRLF)
                .from_writer(Vec::new()),
        )
    }
}

impl Csv {
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) -> Result<()> {
        let guarded = cells.into_iter().map(|cell| match cell.as_ref() {
            text if text.starts_with(FORMULA) => format!("'{text}"),
            text => text.to_owned(),
        });
        self.0.write_record(guarded).map_err(Error::internal)
    }

    pub fn bytes(self) -> Result<Vec<u8>> {
        self.0
            .into_inner()
            .map_err(|error| Error::internal(error.into_error()))
    }

    /// As a file to keep.
    pub fn download(self, name: &str) -> Result<Response> {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{name}\""),
            ),
        ];
        Ok((headers, self.bytes()?).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn cells_are_text_and_never_formulas() {
        let mut csv = Csv::default();
        csv.row(["a", "x,\"y\"", "1.5"]).unwrap();
        assert_eq!(csv.bytes().unwrap(), b"a,\"x,\"\"y\"\"\",1.5\r\n");
        let formulas = [
            "=1+1", "+1+1", "-1+1", "@a", "\t=1", "\r=1", "\n=1", "-", "=\"a\"",
        ];
        let mut csv = Csv::default();
        csv.row(formulas).unwrap();
        let text = csv.bytes().unwrap();
        let written: Vec<String> = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&text[..])
            .into_deserialize()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(written, formulas.map(|formula| format!("'{formula}")));
    }
}
