//! `bulkhead run`: starts a run and shows it as it happens. Ctrl-C cancels it and shows the receipt; a broken
//! connection is taken up where it broke.

use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::follow::Follow;
use super::screen::Screen;
use crate::cli::client::{Client, Target};
use crate::cli::stop::Stop;
use crate::cli::terminal::{Failure, Output};

/// After a cancel was answered, the end is at hand.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// How long a start that is being sent is waited for, to have a run to cancel.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// Start a run and stream it; Ctrl-C cancels it and prints the receipt
///
/// The answer goes to stdout, what the agent does to stderr. With --output json every event is a line.
/// Exits 0 where the run completed, 1 where it did not, 130 where Ctrl-C cancelled it.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead run support \"how do i stop a run??\"
  git diff | bulkhead run reviewer - --deadline-ms 60000
  bulkhead run support hello --version 3 --output json

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    /// The agent's name.
    agent: String,
    /// What to ask; `-` reads it from stdin.
    text: String,
    /// This version, instead of the one a channel gives.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// Go on in this conversation: the run is given what was said before.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Stop the run after this time.
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// Stop the run after this much fuel.
    #[arg(long, value_name = "FUEL")]
    max_fuel: Option<u64>,
    #[command(flatten)]
    target: Target,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.target.client()?;
    let mut new = json!({ "input": input(&args.text)? });
    if let Some(version) = args.version {
        new["version"] = json!(version);
    }
    if let Some(conversation) = args.conversation {
        new["conversation_id"] = json!(conversation);
    }
    if let Some(deadline_ms) = args.deadline_ms {
        new["deadline_ms"] = json!(deadline_ms);
    }
    if let Some(max_fuel) = args.max_fuel {
        new["max_fuel"] = json!(max_fuel);
    }
    let mut stop = Stop::listen()?;
    let mut follow = Follow::new(&client, &args.agent, &new);
    let mut screen = Screen::new(out);
    loop {
        let event = tokio::select! {
            biased;
            () = stop.asked() => return cancel(&client, &args.agent, (&mut follow, &mut screen), &mut stop).await,
            event = follow.next() => event?,
        };
        match event {
            Some(event) => screen.show(&event)?,
            None => return screen.end(),
        }
    }
}

/// Cancels the run and shows what still comes of it, the receipt at the end. A second signal leaves at once.
async fn cancel(
    client: &Client,
    agent: &str,
    (follow, screen): (&mut Follow<'_>, &mut Screen),
    stop: &mut Stop,
) -> Result<(), Failure> {
    let cancelled = async {
        let started = tokio::time::timeout(STARTS_WITHIN, follow.started()).await;
        let run = started.map_err(|_| {
            Failure::new(
                "not_cancelled",
                "no run had started yet; if one does, cancel it with `bulkhead cancel`",
            )
        })??;
        let view = client
            .post(&["agents", agent, "runs", &run, "cancel"], &json!({}))
            .await?;
        let rest = async {
            while let Some(event) = follow.next().await? {
                screen.show(&event)?;
            }
            Ok::<_, Failure>(())
        };
        let heard = tokio::time::timeout(ENDS_WITHIN, rest).await;
        screen.receipt(heard.is_err().then_some(&view))
    };
    stop.unless(cancelled).await?;
    Err(Failure::interrupted())
}

fn input(text: &str) -> Result<Value, Failure> {
    if text != "-" {
        return Ok(json!(text));
    }
    let mut input = String::new();
    let read = std::io::stdin()
        .take(INPUT_BYTES_MAX)
        .read_to_string(&mut input);
    read.map_err(|error| Failure::usage(format!("stdin cannot be read as UTF-8 text: {error}")))?;
    Ok(json!(input))
}
