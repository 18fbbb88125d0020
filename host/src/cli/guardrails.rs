//! `bulkhead guardrails`: what a version declares, what guardrails say of a text, and what they did.

use serde_json::{Value, json};

use super::client::{Client, Target};
use super::terminal::view::{at, more};
use super::terminal::{Failure, Output, plain};

/// Show guardrails, try them on a text, and list what they did
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead guardrails list support                          of the stable version
  bulkhead guardrails check --guardrail pii.redact \"write to jane@example.com\"
  bulkhead guardrails violations --agent support --action blocked

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the guardrails of a version
    List {
        /// The agent's name.
        agent: String,
        /// The version's number; the stable one where absent.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// Try guardrails on a text; nothing is started or stored
    Check {
        /// A guardrail, as a manifest declares it.
        #[arg(long = "guardrail", value_name = "GUARDRAIL")]
        guardrails: Vec<String>,
        /// What a run would be asked, or would say.
        #[arg(default_value = "")]
        text: String,
        #[command(flatten)]
        target: Target,
    },
    /// List what guardrails did, newest first
    Violations {
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// The guardrail's kind, such as max_tokens.
        #[arg(long)]
        kind: Option<String>,
        /// refused, blocked, redacted or rewritten.
        #[arg(long)]
        action: Option<String>,
        /// 1 to 200.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::List {
            agent,
            version,
            target,
        } => list(&target.client()?, &agent, version, out).await,
        Verb::Check {
            guardrails,
            text,
            target,
        } => {
            let body = json!({ "guardrails": guardrails, "text": text });
            let checked = target
                .client()?
                .post(&["guardrails", "check"], &body)
                .await?;
            tell_checked(&checked, out)
        }
        Verb::Violations {
            agent,
            run,
            kind,
            action,
            limit,
            cursor,
            target,
        } => {
            let query = [
                ("limit", Some(limit.to_string())),
                ("agent", agent),
                ("run", run),
                ("kind", kind),
                ("action", action),
                ("cursor", cursor),
            ];
            let page = target
                .client()?
                .get(&["guardrails", "violations"], &query)
                .await?;
            tell_violations(&page, out)
        }
    }
}

async fn list(
    client: &Client,
    agent: &str,
    version: Option<u32>,
    out: Output,
) -> Result<(), Failure> {
    let number = match version {
        Some(number) => number.to_string(),
        None => {
            let shown = client.get(&["agents", agent], &[]).await?;
            let stable = shown["stable"].as_i64().map(|number| number.to_string());
            stable.ok_or_else(|| {
                Failure::usage(format!(
                    "`{agent}` has no stable version: name one with --version"
                ))
            })?
        }
    };
    let version = client
        .get(&["agents", agent, "versions", &number], &[])
        .await?;
    let guardrails = &version["guardrails"];
    if out.is_json() {
        return out.json(guardrails);
    }
    let rows = guardrails.as_array().into_iter().flatten();
    let rows = rows.map(|rule| {
        [
            at(rule, "/kind"),
            plain::line(&at(rule, "/rule")),
            at(rule, "/at"),
        ]
    });
    out.table(["kind", "guardrail", "enforced at"], rows.collect());
    Ok(())
}

fn tell_checked(checked: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(checked);
    }
    let rows = checked["verdicts"].as_array().into_iter().flatten();
    let rows = rows.map(|verdict| {
        let rule = plain::line(&at(verdict, "/rule"));
        [rule, at(verdict, "/verdict"), verdict["detail"].to_string()]
    });
    out.table(["guardrail", "verdict", "detail"], rows.collect());
    out.line(plain::text(&at(checked, "/text")));
    Ok(())
}

fn tell_violations(page: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|row| {
        [
            at(row, "/created_at"),
            at(row, "/agent"),
            at(row, "/action"),
            plain::line(&at(row, "/rule")),
            at(row, "/at"),
            at(row, "/run"),
            row["detail"].to_string(),
        ]
    });
    out.table(
        [
            "at",
            "agent",
            "action",
            "guardrail",
            "where",
            "run",
            "detail",
        ],
        rows.collect(),
    );
    if let Some(more) = more(page) {
        out.note(more);
    }
    Ok(())
}
