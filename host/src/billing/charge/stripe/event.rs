//! What Stripe's events say, of which those of subscriptions and of usage that it does not count matter here. Called
//! once the signature holds.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::super::provider::{About, Change, Gives, Told};
use crate::kit::{Error, Result};

/// What Stripe's own ids may have.
const ID_MAX: usize = 255;
/// Prices of one subscription that are looked at.
const ITEMS_MAX: usize = 100;
/// What is kept of its words.
const WORDS_MAX: usize = 300;

/// What every event has.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What those of subscriptions have besides.
#[derive(Deserialize)]
struct Happened {
    created: i64,
    data: Holds,
}

#[derive(Deserialize)]
struct Holds {
    object: Value,
}

/// `tiers` says which tier a price gives.
pub(super) fn read(body: &[u8], tiers: &BTreeMap<String, String>) -> Result<Told> {
    let event: Event = parse(body, "`id` and `type`")?;
    if event.id.is_empty() || event.id.len() > ID_MAX || event.id.contains('\0') {
        return Err(Error::invalid("`id` is no id of an event."));
    }
    let about = match event.kind.as_str() {
        "customer.subscription.created"
        | "customer.subscription.updated"
        | "customer.subscription.paused"
        | "customer.subscription.resumed"
        | "customer.subscription.deleted" => About::Subscription(change(&event.kind, body, tiers)?),
        "v1.billing.meter.error_report_triggered" | "v1.billing.meter.no_meter_found" => {
            About::Uncounted(report(&event.kind, body)?)
        }
        // Whatever else is in it.
        _ => About::Other,
    };
    Ok(Told {
        event: event.id,
        about,
    })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], has: &str) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::invalid(format!("The body is no event of Stripe's: it has {has}.")).caused_by(error)
    })
}

/// What it says of reports that it does not count: it sends no more than where to look, and sometimes a summary.
fn report(kind: &str, body: &[u8]) -> Result<String> {
    let event: Value = parse(body, "`id` and `type`")?;
    let meter = event["related_object"]["id"].as_str().unwrap_or("no meter");
    let summary = &event["data"]["developer_message_summary"];
    let summary = summary
        .as_str()
        .unwrap_or("its error report has the reasons");
    let words = format!("{kind}: {meter}: {summary}");
    let plain = words.chars().filter(|c| !c.is_control());
    Ok(plain.take(WORDS_MAX).collect())
}

fn change(kind: &str, body: &[u8], tiers: &BTreeMap<String, String>) -> Result<Change> {
    let happened: Happened = parse(body, "`id`, `type`, `created` and `data.object`")?;
    let at = OffsetDateTime::from_unix_timestamp(happened.created)
        .map_err(|_| Error::invalid("`created` is no time."))?;
    let subscription = &happened.data.object;
    let text = |name: &str| {
        let text = subscription[name]
            .as_str()
            .or(subscription[name]["id"].as_str());
        let text = text.filter(|text| text.len() <= ID_MAX && !text.contains('\0'));
        let missing = || Error::invalid(format!("`data.object.{name}` is missing."));
        text.map(str::to_owned).ok_or_else(missing)
    };
    let status = subscription["status"].as_str().unwrap_or_default();
    let gives = match (kind, status) {
        ("customer.subscription.deleted", _)
        | (_, "canceled" | "unpaid" | "incomplete_expired" | "paused") => Gives::Default,
        (_, "active" | "trialing") => given(subscription, tiers),
        _ => Gives::Nothing,
    };
    Ok(Change {
        subscription: text("id")?,
        customer: text("customer")?,
        at,
        gives,
    })
}

fn given(subscription: &Value, tiers: &BTreeMap<String, String>) -> Gives {
    let items = subscription["items"]["data"].as_array();
    let items = items.into_iter().flatten().take(ITEMS_MAX);
    let prices: Vec<&str> = items
        .filter_map(|item| item["price"]["id"].as_str())
        .collect();
    match prices.iter().find_map(|price| tiers.get(*price)) {
        Some(tier) => Gives::Tier(tier.clone()),
        None => Gives::Unknown(prices.into_iter().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subscription_gives_by_its_state_and_prices() {
        let tiers = BTreeMap::from([("price_pro".to_owned(), "pro".to_owned())]);
        let pro = || Gives::Tier("pro".to_owned());
        let unknown =
            |prices: &[&str]| Gives::Unknown(prices.iter().map(|p| (*p).to_owned()).collect());
        for (kind, status, prices, gives) in [
            ("created", "active", vec!["price_pro"], pro()),
            (
                "updated",
                "trialing",
                vec!["price_metered", "price_pro"],
                pro(),
            ),
            ("resumed", "active", vec!["price_pro"], pro()),
            (
                "updated",
                "active",
                vec!["price_metered"],
                unknown(&["price_metered"]),
            ),
            ("updated", "active", vec![], unknown(&[])),
            ("updated", "past_due", vec!["price_pro"], Gives::Nothing),
            ("created", "incomplete", vec!["price_pro"], Gives::Nothing),
            ("updated", "unpaid", vec!["price_pro"], Gives::Default),
            ("updated", "canceled", vec![], Gives::Default),
            ("paused", "paused", vec!["price_pro"], Gives::Default),
            ("deleted", "active", vec!["price_pro"], Gives::Default),
        ] {
            let items: Vec<_> = prices
                .iter()
                .map(|id| json!({ "price": { "id": id } }))
                .collect();
            let event = json!({
                "id": "evt_1", "type": format!("customer.subscription.{kind}"), "created": 1_700_000_000,
                "data": { "object": {
                    "id": "sub_1", "customer": { "id": "cus_1" }, "status": status, "items": { "data": items }
                } }
            });
            let told = read(event.to_string().as_bytes(), &tiers).unwrap();
            let About::Subscription(change) = told.about else {
                panic!("{event}: {:?}", told.about);
            };
            assert_eq!(
                (change.customer.as_str(), change.gives),
                ("cus_1", gives),
                "{event}"
            );
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"id":"","type":"x","created":1,"data":{"object":{}}}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated"}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":"now","data":{"object":{"id":"sub_1","customer":"cus_1"}}}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":9223372036854775807,"data":{"object":{"id":"sub_1","customer":"cus_1"}}}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":{"object":{}}}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":{"object":{"id":"sub_1"}}}"#,
        ] {
            let refused = read(text.as_bytes(), &BTreeMap::new());
            assert_eq!(refused.unwrap_err().code.status, 400, "{text}");
        }
    }

    #[test]
    fn what_matters_to_nobody_here_may_have_any_shape() {
        for text in [
            r#"{"id":"evt_1","type":"invoice.paid","created":1,"data":{"object":null}}"#,
            r#"{"id":"evt_1","type":"x"}"#,
            r#"{"id":"evt_1","type":"v2.core.event_destination.ping","created":"2026-11-20T18:00:00.123Z","related_object":null}"#,
            r#"{"id":"evt_1","type":"x","created":9223372036854775807,"data":[]}"#,
        ] {
            let told = read(text.as_bytes(), &BTreeMap::new()).unwrap();
            assert_eq!(
                (told.event.as_str(), told.about),
                ("evt_1", About::Other),
                "{text}"
            );
        }
    }

    #[test]
    fn reports_that_do_not_count_say_where_to_look() {
        let thin = json!({
            "id": "evt_1", "type": "v1.billing.meter.error_report_triggered",
            "created": "2026-11-20T18:00:00.123Z",
            "related_object": { "id": "mtr_1", "type": "billing.meter" },
        });
        let mut summed = thin.clone();
        summed["data"] = json!({ "developer_message_summary": "There are 2\n invalid events" });
        for (event, says) in [
            (thin, "mtr_1: its error report has the reasons"),
            (summed, "mtr_1: There are 2 invalid events"),
        ] {
            let told = read(event.to_string().as_bytes(), &BTreeMap::new()).unwrap();
            let About::Uncounted(said) = told.about else {
                panic!("{event}: {:?}", told.about);
            };
            assert!(said.ends_with(says), "{said}");
        }
    }
}
