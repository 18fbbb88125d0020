//! `bulkhead usage show` and `export`.

use serde_json::Value;

use crate::cli::client::Target;
use crate::cli::terminal::view::at;
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A month of UTC, such as 2026-11; the current one where absent.
    #[arg(long, value_name = "MONTH")]
    period: Option<String>,
    /// What to group by.
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Day,
    Agent,
    Version,
    Model,
}

impl Args {
    fn query(&self) -> [(&'static str, Option<String>); 2] {
        let group = match self.by {
            By::Day => "day",
            By::Agent => "agent",
            By::Version => "version",
            By::Model => "model",
        };
        [
            ("period", self.period.clone()),
            ("group", Some(group.to_owned())),
        ]
    }
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let month = args.target.client()?.get(&["usage"], &args.query()).await?;
    if out.is_json() {
        return out.json(&month);
    }
    let with_currency = |value: String| match value.as_str() {
        "" => value,
        amount => format!("{amount} {}", at(&month, "/currency")),
    };
    out.fields(&[
        ("month", at(&month, "/period")),
        ("tier", at(&month, "/tier")),
        ("cost", with_currency(at(&month, "/total/cost"))),
    ]);
    let caps = month["caps"].as_array().into_iter().flatten().map(|cap| {
        let kind = if cap["hard"] == true { "hard" } else { "soft" };
        [
            at(cap, "/dimension"),
            at(cap, "/used"),
            at(cap, "/cap"),
            kind.to_owned(),
            at(cap, "/overage"),
        ]
    });
    let caps: Vec<[String; 5]> = caps.collect();
    if !caps.is_empty() {
        out.table(["cap", "used", "at most", "kind", "beyond"], caps);
    }
    let model = args.by == By::Model;
    let lines = month["data"].as_array().into_iter().flatten();
    let rows = lines.chain([&month["total"]]).map(|line| {
        let name = |pointers: [&str; 4]| {
            let parts = pointers.map(|pointer| at(line, pointer));
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            if parts.is_empty() {
                "total".to_owned()
            } else {
                parts.join(" ")
            }
        };
        let name = match line.get("connection").and_then(Value::as_str) {
            Some(connection) => format!("{connection}/{}", at(line, "/model")),
            None => name(["/day", "/agent", "/version", "/none"]),
        };
        [
            name,
            at(
                line,
                if model && line.get("generations").is_some() {
                    "/generations"
                } else {
                    "/runs"
                },
            ),
            at(line, "/input_tokens"),
            at(line, "/output_tokens"),
            at(line, "/cost"),
        ]
    });
    let counted = if model { "generations" } else { "runs" };
    out.table(
        ["", counted, "input tokens", "output tokens", "cost"],
        rows.collect(),
    );
    Ok(())
}

/// The CSV as the host makes it, whatever `--output` says.
pub(super) async fn export(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.target.client()?;
    let text = client.text(&["usage", "export.csv"], &args.query()).await?;
    out.line(text.trim_end());
    Ok(())
}
