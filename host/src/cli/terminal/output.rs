//! The two streams. Answers go to stdout, as text or as JSON; notes and errors to stderr. Every text is made harmless
//! on its way. A reader that went away is no error: nobody is left to tell.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::{Failure, plain};
use crate::config::Surroundings;

/// For whom to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Output {
    format: Format,
    /// stderr is a terminal that shows colours.
    colours: bool,
}

impl Output {
    pub(in crate::cli) fn new(format: Format) -> Self {
        Self {
            format,
            colours: stderr().is_terminal() && !Surroundings::read().no_color,
        }
    }

    pub(in crate::cli) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Columns of the terminal that answers go to; as many as a page has where they go elsewhere.
    pub(in crate::cli) fn width(self) -> usize {
        let size = stdout()
            .is_terminal()
            .then(|| rustix::termios::tcgetwinsize(stdout()));
        match size {
            Some(Ok(size)) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => 80,
        }
    }

    pub(in crate::cli) fn colours(self) -> bool {
        self.colours
    }

    /// One JSON document on one line.
    pub(in crate::cli) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = plain::json(&serde_json::to_string(value)?);
        let _ = writeln!(stdout(), "{text}").and_then(|()| stdout().flush());
        Ok(())
    }

    /// A piece of an answer, as it comes.
    pub(in crate::cli) fn piece(self, piece: &str) {
        let _ = write!(stdout(), "{}", plain::text(piece)).and_then(|()| stdout().flush());
    }

    /// A line of an answer.
    pub(in crate::cli) fn line(self, line: impl AsRef<str>) {
        let _ = writeln!(stdout(), "{}", plain::text(line.as_ref()));
    }

    /// Something on the side, for people only.
    pub(in crate::cli) fn note(self, note: impl AsRef<str>) {
        if self.is_json() {
            return;
        }
        let note = plain::text(note.as_ref());
        let _ = if self.colours {
            writeln!(stderr(), "\x1b[2m{note}\x1b[0m")
        } else {
            writeln!(stderr(), "{note}")
        };
    }

    /// Rows under their names; a word instead where there are none.
    pub(in crate::cli) fn table<const N: usize>(self, names: [&str; N], rows: Vec<[String; N]>) {
        if rows.is_empty() {
            self.note("(none)");
            return;
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(names);
        table.add_rows(
            rows.into_iter()
                .map(|row| row.map(|cell| plain::line(&cell))),
        );
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((u16::from(place > 0), 1));
        }
        self.line(table.trim_fmt());
    }

    /// Names and values, one a line; what has no value is passed over.
    pub(in crate::cli) fn fields(self, fields: &[(&str, String)]) {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            self.line(format!("{name:width$}  {}", plain::line(value)));
        }
    }

    /// The last word of a command that did not succeed.
    pub(in crate::cli) fn failure(self, failure: &Failure) -> ExitCode {
        if !failure.detail.is_empty() {
            let line = match self.format {
                Format::Text => format!("error: {}", failure.sentence()),
                Format::Json => plain::json(&failure.document().to_string()),
            };
            let _ = writeln!(stderr(), "{line}");
        }
        ExitCode::from(failure.exit)
    }
}
