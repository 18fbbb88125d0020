//! Why a command did not do what it was told: one line that says what to change, a code for programs, and the exit
//! status. Made from every error the commands meet.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::plain;
use crate::kit::Error;
use crate::kit::http::Problem;
use crate::postgres;

/// What ends a command early.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    pub(in crate::cli) exit: u8,
    pub(in crate::cli) code: String,
    /// Empty where everything has been said already.
    pub(in crate::cli) detail: String,
    /// The problem document, where an API answered with one.
    problem: Option<Box<Problem>>,
}

impl Failure {
    pub(in crate::cli) fn new(code: &str, detail: impl Into<String>) -> Self {
        Self {
            exit: 1,
            code: code.to_owned(),
            detail: detail.into(),
            problem: None,
        }
    }

    /// The command line asks for something that does not fit together.
    pub(in crate::cli) fn usage(detail: impl Into<String>) -> Self {
        Self {
            exit: 2,
            ..Self::new("usage", detail)
        }
    }

    /// A signal ended the command; what there was to say is said.
    pub(in crate::cli) fn interrupted() -> Self {
        Self {
            exit: 130,
            ..Self::new("interrupted", "")
        }
    }

    /// The command failed and has said so.
    pub(in crate::cli) fn told() -> Self {
        Self::new("failed", "")
    }

    /// As one line for people.
    pub(super) fn sentence(&self) -> String {
        let mut text = self.detail.clone();
        if let Some(problem) = &self.problem {
            for field in &problem.errors {
                text.push_str(&format!(
                    " {}: {}.",
                    field.pointer,
                    field.detail.trim_end_matches('.')
                ));
            }
            let id = problem
                .request_id
                .as_ref()
                .map(|id| format!(", request {id}"))
                .unwrap_or_default();
            text.push_str(&format!(" [{}{id}]", self.code));
        }
        plain::line(&text)
    }

    /// As one document for programs.
    pub(super) fn document(&self) -> Value {
        let mut error = json!({ "code": self.code, "detail": self.detail });
        if let Some(problem) = &self.problem {
            error["request_id"] = json!(problem.request_id);
            error["errors"] = json!(problem.errors);
        }
        json!({ "error": error })
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Some(Box::new(problem)),
            ..Self::new("", "")
        }
        .filled()
    }
}

impl Failure {
    fn filled(mut self) -> Self {
        if let Some(problem) = &self.problem {
            self.code = problem.code.clone();
            self.detail = problem.detail.clone();
        }
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut detail = error.detail.clone();
        if error.code.status == 500 {
            // No request and no log here: the cause is all there is.
            detail = format!("{}: {}", error.code.title, error.chain());
        }
        for field in &error.fields {
            detail.push_str(&format!(" {}: {}.", field.pointer, field.detail));
        }
        Self::new(error.code.code, detail)
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        let code = match &error {
            postgres::Error::NotFound { .. } => "postgres_not_found",
            postgres::Error::Locked { .. } => "data_folder_in_use",
            _ => "postgres",
        };
        Self::new(code, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(
            "unexpected_answer",
            format!("What was answered cannot be read: {error}"),
        )
    }
}

/// What clap has to say: help and version on stdout, everything else as an error.
pub(in crate::cli) fn usage(error: &clap::Error) -> ExitCode {
    use std::io::Write as _;
    let words: Vec<_> = std::env::args_os().collect();
    let json = words.iter().any(|word| word == "--output=json")
        || words
            .windows(2)
            .any(|pair| pair[0] == "--output" && pair[1] == "json");
    if error.exit_code() == 0 || !json {
        // Nobody reads: nothing to do about it.
        let _ = error.print();
    } else {
        let text = error.render().to_string();
        let line = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let _ = writeln!(
            std::io::stderr(),
            "{}",
            plain::json(&Failure::usage(line).document().to_string())
        );
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
