//! `bulkhead webhooks`: where the organization is told of what happens in it, what was delivered, and sending again.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::{Client, Paging, Target};
use super::terminal::view::{at, more, number};
use super::terminal::{Failure, Output};
use crate::kit::Clock;

/// Make and change webhook endpoints, see what was delivered, send it again
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead webhooks events
  bulkhead webhooks create https://example.com/hook --event agent_run.failed --event agent_run.blocked
  bulkhead webhooks create https://example.com/hook                 everything
  bulkhead webhooks test we_0190b6f2…
  bulkhead webhooks deliveries we_0190b6f2… --state failed
  bulkhead webhooks redeliver we_0190b6f2… evt_0190b6f2…
  bulkhead webhooks replay we_0190b6f2… --since 2h                  or a time such as 2027-01-31T00:00:00Z
  bulkhead webhooks rotate we_0190b6f2…

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the events there are
    Events {
        #[command(flatten)]
        target: Target,
    },
    /// List endpoints, newest first
    List(List),
    /// Make an endpoint; its signing secret is printed once
    Create(Create),
    /// Change an endpoint, disable it, or enable it again
    Set(Set),
    /// Delete an endpoint and its deliveries
    Delete(Of),
    /// Make a new signing secret; the one before signs too for 24 hours
    Rotate(Of),
    /// Send a test event
    Test(Of),
    /// List deliveries, newest event first
    Deliveries(Deliveries),
    /// Send a delivery again
    Redeliver(Redeliver),
    /// Send again what happened since a time and was not delivered
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// The endpoint's id.
    #[arg(value_name = "ENDPOINT")]
    endpoint: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Where events are posted: an https URL of the public internet.
    address: String,
    /// What it is told of; everything where absent.
    #[arg(long = "event", value_name = "EVENT", default_value = "*")]
    events: Vec<String>,
    /// For people.
    #[arg(long, default_value = "")]
    description: String,
    /// `standard`, or `stripe` for receivers that check that form.
    #[arg(long, default_value = "standard", value_name = "FORM")]
    signature: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Set {
    /// Where events are posted.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// What it is told of, instead of what it was told of before.
    #[arg(long = "event", value_name = "EVENT")]
    events: Option<Vec<String>>,
    /// For people.
    #[arg(long)]
    description: Option<String>,
    /// `standard` or `stripe`.
    #[arg(long, value_name = "FORM")]
    signature: Option<String>,
    /// Whether deliveries are sent to it.
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Deliveries {
    /// `waiting`, `delivered`, `failed` or `dropped`.
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Redeliver {
    #[command(flatten)]
    of: Of,
    /// The event's id.
    #[arg(value_name = "EVENT")]
    event: String,
}

#[derive(Debug, clap::Args)]
struct Replay {
    /// From when: a time, or how long ago, such as 30m, 2h or 3d; at most 30 days.
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Send again what was delivered, too.
    #[arg(long)]
    delivered: bool,
    #[command(flatten)]
    of: Of,
}

const ENDPOINTS: &str = "webhook-endpoints";

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Events { target } => events(&target.client()?, out).await,
        Verb::List(args) => list(args, out).await,
        Verb::Create(args) => create(args, out).await,
        Verb::Set(args) => set(args, out).await,
        Verb::Delete(of) => {
            let client = of.target.client()?;
            client.delete(&[ENDPOINTS, &of.endpoint]).await?;
            out.note(format!("{} is deleted.", of.endpoint));
            Ok(())
        }
        Verb::Rotate(of) => {
            let path = [ENDPOINTS, &of.endpoint, "rotate-secret"];
            let made = of.target.client()?.post(&path, &json!({})).await?;
            secret(&made, out, "The secret before it signs too for 24 hours.")
        }
        Verb::Test(of) => {
            let path = [ENDPOINTS, &of.endpoint, "test"];
            let sent = of.target.client()?.post(&path, &json!({})).await?;
            delivery(&sent, out)
        }
        Verb::Deliveries(args) => deliveries(args, out).await,
        Verb::Redeliver(Redeliver { of, event }) => {
            let path = [ENDPOINTS, &of.endpoint, "deliveries", &event, "redeliver"];
            let sent = of.target.client()?.post(&path, &json!({})).await?;
            delivery(&sent, out)
        }
        Verb::Replay(args) => replay(args, out).await,
    }
}

async fn events(client: &Client, out: Output) -> Result<(), Failure> {
    let catalogue = client.get(&["webhook-events"], &[]).await?;
    if out.is_json() {
        return out.json(&catalogue);
    }
    let events = catalogue["data"].as_array().into_iter().flatten();
    let rows = events.map(|event| {
        let sent = match event["sent"].as_bool() {
            Some(false) => "not yet",
            _ => "",
        };
        [
            at(event, "/name"),
            at(event, "/description"),
            sent.to_owned(),
        ]
    });
    out.table(["event", "when", "sent"], rows.collect());
    Ok(())
}

async fn list(args: List, out: Output) -> Result<(), Failure> {
    let query = args.paging.after([]);
    let page = args.target.client()?.get(&[ENDPOINTS], &query).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|endpoint| {
        let state = match endpoint["enabled"].as_bool() {
            Some(true) if endpoint.get("failing_since").is_some() => "failing".to_owned(),
            Some(true) => "enabled".to_owned(),
            _ => format!("disabled: {}", at(endpoint, "/disabled_reason")),
        };
        let text = |pointer| at(endpoint, pointer);
        [
            text("/id"),
            text("/url"),
            text("/events"),
            state,
            text("/description"),
        ]
    });
    out.table(
        ["id", "url", "events", "state", "description"],
        rows.collect(),
    );
    rest(&page, out);
    Ok(())
}

async fn create(args: Create, out: Output) -> Result<(), Failure> {
    let body = json!({
        "url": args.address,
        "description": args.description,
        "events": args.events,
        "signature": args.signature,
    });
    let made = args.target.client()?.post(&[ENDPOINTS], &body).await?;
    secret(&made, out, "The secret is not shown again.")
}

async fn set(args: Set, out: Output) -> Result<(), Failure> {
    let mut change = Map::new();
    let given = [
        ("url", args.address.map(Value::from)),
        ("events", args.events.map(Value::from)),
        ("description", args.description.map(Value::from)),
        ("signature", args.signature.map(Value::from)),
        ("enabled", args.enabled.map(Value::from)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            change.insert(name.to_owned(), value);
        }
    }
    if change.is_empty() {
        return Err(Failure::usage(
            "name what to change, such as --enabled true",
        ));
    }
    let path = [ENDPOINTS, &args.of.endpoint];
    let client = args.of.target.client()?;
    let changed = client.patch(&path, &Value::Object(change)).await?;
    if out.is_json() {
        return out.json(&changed);
    }
    endpoint(&changed, out);
    Ok(())
}

async fn deliveries(args: Deliveries, out: Output) -> Result<(), Failure> {
    let query = args.paging.after([("state", args.state)]);
    let path = [ENDPOINTS, &args.of.endpoint, "deliveries"];
    let page = args.of.target.client()?.get(&path, &query).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|delivery| {
        let text = |pointer| at(delivery, pointer);
        let last = match delivery.pointer("/last_attempt/error") {
            Some(error) => at(error, ""),
            None => text("/last_attempt/status"),
        };
        let attempts = number(delivery, "/attempts").to_string();
        let next = text("/next_attempt_at");
        [
            text("/event"),
            text("/topic"),
            text("/state"),
            attempts,
            last,
            next,
        ]
    });
    let names = ["event", "what", "state", "attempts", "last", "next"];
    out.table(names, rows.collect());
    rest(&page, out);
    Ok(())
}

async fn replay(args: Replay, out: Output) -> Result<(), Failure> {
    let since = since(&args.since)?;
    let body = json!({ "since": since, "delivered": args.delivered });
    let path = [ENDPOINTS, &args.of.endpoint, "replay"];
    let replayed = args.of.target.client()?.post(&path, &body).await?;
    if out.is_json() {
        return out.json(&replayed);
    }
    out.line(format!(
        "{} events are sent again.",
        number(&replayed, "/events")
    ));
    Ok(())
}

/// A time as it stands, or how long ago.
fn since(text: &str) -> Result<String, Failure> {
    if OffsetDateTime::parse(text, &Rfc3339).is_ok() {
        return Ok(text.to_owned());
    }
    let units = [('m', 60), ('h', 3_600), ('d', 86_400)];
    let ago = units.iter().find_map(|(unit, seconds)| {
        let count: i64 = text.strip_suffix(*unit)?.parse().ok()?;
        (0..=100_000)
            .contains(&count)
            .then(|| time::Duration::seconds(count * seconds))
    });
    let at = ago.and_then(|ago| (Clock::system().now() - ago).format(&Rfc3339).ok());
    at.ok_or_else(|| {
        Failure::usage(format!(
            "--since {text:?} is no time: write 30m, 2h, 3d or such as 2027-01-31T00:00:00Z"
        ))
    })
}

fn secret(made: &Value, out: Output, note: &str) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(made);
    }
    endpoint(&made["endpoint"], out);
    out.fields(&[("secret", at(made, "/signing_secret"))]);
    out.note(note);
    Ok(())
}

fn endpoint(endpoint: &Value, out: Output) {
    out.fields(&[
        ("id", at(endpoint, "/id")),
        ("url", at(endpoint, "/url")),
        ("events", at(endpoint, "/events")),
        ("signature", at(endpoint, "/signature")),
        ("enabled", at(endpoint, "/enabled")),
        ("disabled", at(endpoint, "/disabled_reason")),
        ("failing since", at(endpoint, "/failing_since")),
    ]);
}

fn delivery(sent: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(sent);
    }
    out.fields(&[
        ("event", at(sent, "/event")),
        ("what", at(sent, "/topic")),
        ("state", at(sent, "/state")),
    ]);
    Ok(())
}

fn rest(page: &Value, out: Output) {
    if let Some(note) = more(page) {
        out.note(note);
    }
}
