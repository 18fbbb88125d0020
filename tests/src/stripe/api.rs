//! What is done with a request: customers, meter events, and the answers that idempotency keys stand for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bulkhead::kit::Clock;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::wire::{self, Request};
use super::{KEY, Kept, Metered, State, lock};

type Answer = (u16, Value);

const METER_EVENTS: &str = "/v1/billing/meter_events";

fn refuse(status: u16, message: impl Into<String>) -> Answer {
    let message: String = message.into();
    (
        status,
        json!({ "error": { "type": "invalid_request_error", "message": message } }),
    )
}

fn now(state: &State) -> OffsetDateTime {
    state.clock.clone().unwrap_or_else(Clock::system).now()
}

/// Notes that a report is under way; its identifier.
pub(super) fn arrives(request: &Request, state: &Mutex<State>) -> Option<String> {
    let mut state = lock(state);
    let (method, path, _) = request.line();
    if method == "POST" && request.header("idempotency-key").is_none() {
        state
            .wrong
            .push(format!("{path} without an idempotency key"));
    }
    let form = wire::form(&request.body);
    if let Err(what) = &form {
        state.wrong.push(format!("{path}: {what}"));
    }
    let identifier = form
        .ok()?
        .remove("identifier")
        .filter(|_| path == METER_EVENTS)?;
    state.asked.push(identifier.clone());
    let under_way = state.under_way.entry(identifier.clone()).or_default();
    *under_way += 1;
    if *under_way > 1 {
        state.overlaps.push(identifier.clone());
    }
    Some(identifier)
}

pub(super) fn leaves(identifier: Option<String>, state: &Mutex<State>) {
    if let Some(identifier) = identifier
        && let Some(under_way) = lock(state).under_way.get_mut(&identifier)
    {
        *under_way -= 1;
    }
}

/// From now on the request's idempotency key stands for this answer, unless it stands for another.
pub(super) fn keep(request: &Request, answer: Answer, state: &Mutex<State>) -> Answer {
    let mut state = lock(state);
    let at = now(&state);
    let Some(key) = request.header("idempotency-key") else {
        return answer;
    };
    let kept = Kept {
        at,
        request: same(request),
        answer: answer.clone(),
    };
    state.answers.insert(key.to_owned(), kept);
    answer
}

fn same(request: &Request) -> String {
    format!("{} {}", request.line().1, request.body)
}

pub(super) fn perform(request: &Request, state: &Mutex<State>) -> Answer {
    if request.authorization() != format!("Bearer {KEY}") {
        return refuse(401, "Invalid API Key provided");
    }
    let (method, path, query) = request.line();
    if method == "GET" && path == "/v1/customers/search" {
        return search(query, &lock(state));
    }
    if request.header("content-type") != Some("application/x-www-form-urlencoded") {
        return refuse(400, "Send a form.");
    }
    let form = match wire::form(&request.body) {
        Ok(form) => form,
        Err(what) => return refuse(400, what),
    };
    let answer = {
        let mut state = lock(state);
        let day = now(&state) - Duration::hours(24);
        let key = request.header("idempotency-key").unwrap_or_default();
        if let Some(kept) = state.answers.get(key).filter(|kept| kept.at > day) {
            return match kept.request == same(request) {
                true => kept.answer.clone(),
                false => {
                    let what =
                        "Keys for idempotent requests can only be used with the same parameters.";
                    state.wrong.push(what.to_owned());
                    refuse(400, what)
                }
            };
        }
        match (method, path) {
            ("POST", "/v1/customers") => customer(&mut state, &form),
            ("POST", METER_EVENTS) => meter(&mut state, &form),
            _ => Err(refuse(
                404,
                format!("Unrecognized request URL ({method}: {path})."),
            )),
        }
    };
    match answer {
        Ok(done) => keep(request, (200, done), state),
        // What is not valid was not begun, and is not kept.
        Err(refused) => refused,
    }
}

fn search(query: &str, state: &State) -> Answer {
    let Ok(query) = wire::form(query) else {
        return refuse(400, "Send a query.");
    };
    let text = query.get("query").map_or("", String::as_str);
    let org = text
        .strip_prefix("metadata['bulkhead_org']:'")
        .and_then(|rest| rest.strip_suffix('\''));
    let Some(org) = org else {
        return refuse(400, "We were unable to parse your search query.");
    };
    let found = state.customers.iter().filter(|(_, of)| *of == org);
    let found: Vec<Value> = found
        .map(|(id, _)| json!({ "id": id, "object": "customer" }))
        .collect();
    (
        200,
        json!({ "object": "search_result", "data": found, "has_more": false }),
    )
}

fn only(form: &BTreeMap<String, String>, known: &[&str]) -> Result<(), Answer> {
    let unknown = form.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        Err(refuse(400, format!("Received unknown parameter: {name}")))
    })
}

fn customer(state: &mut State, form: &BTreeMap<String, String>) -> Result<Value, Answer> {
    only(form, &["name", "metadata[bulkhead_org]"])?;
    let id = format!("cus_{}", state.customers.len() + 1);
    let org = form.get("metadata[bulkhead_org]");
    let org = org.cloned().unwrap_or_default();
    state.customers.insert(id.clone(), org);
    Ok(json!({ "id": id, "object": "customer", "name": form.get("name") }))
}

fn meter(state: &mut State, form: &BTreeMap<String, String>) -> Result<Value, Answer> {
    let names = [
        "event_name",
        "identifier",
        "timestamp",
        "payload[stripe_customer_id]",
        "payload[value]",
    ];
    only(form, &names)?;
    let field = |name: &str| {
        let missing = || refuse(400, format!("Missing required param: {name}."));
        form.get(name).cloned().ok_or_else(missing)
    };
    let [event, identifier, at, customer, value] = names.map(field);
    let (event, identifier, customer) = (event?, identifier?, customer?);
    if state.broken.as_ref() == Some(&customer) {
        return Err((
            503,
            json!({ "error": { "message": "This customer is broken." } }),
        ));
    }
    if !state.customers.contains_key(&customer) {
        return Err(refuse(400, format!("No such customer: '{customer}'")));
    }
    let value: i64 = value?
        .parse()
        .map_err(|_| refuse(400, "The value must be a whole number."))?;
    let at = at?.parse().ok();
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let at = at.ok_or_else(|| refuse(400, "Invalid integer: timestamp"))?;
    let now = now(state);
    if at > now + Duration::minutes(5) || at < now - Duration::days(35) {
        let message = "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future.";
        state.wrong.push(message.to_owned());
        return Err(refuse(400, message));
    }
    let day = now - Duration::hours(24);
    let mut lately = state.metered.iter().filter(|(then, _)| *then > day);
    if identifier.len() > 100 || lately.any(|(_, m)| m.identifier == identifier) {
        let message = format!("An event already exists with identifier {identifier}.");
        return Err(refuse(400, message));
    }
    let metered = Metered {
        customer,
        event,
        identifier: identifier.clone(),
        value,
        at,
    };
    state.metered.push((now, metered));
    Ok(json!({ "object": "billing.meter_event", "identifier": identifier }))
}
