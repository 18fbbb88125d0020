//! What Stripe's events say, of which only those of subscriptions matter here. Called once the signature holds.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::super::provider::{Change, Gives, Told};
use crate::kit::{Error, Result};

/// What Stripe's own ids may have.
const ID_MAX: usize = 255;
/// Prices of one subscription that are looked at.
const ITEMS_MAX: usize = 100;

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    data: Holds,
}

#[derive(Deserialize)]
struct Holds {
    object: Value,
}

/// `tiers` says which tier a price gives.
pub(super) fn read(body: &[u8], tiers: &BTreeMap<String, String>) -> Result<Told> {
    let event: Event = serde_json::from_slice(body).map_err(|error| {
        Error::invalid(
            "The body is no event of Stripe's: it has `id`, `type`, `created` and `data.object`.",
        )
        .caused_by(error)
    })?;
    if event.id.is_empty() || event.id.len() > ID_MAX || event.id.contains('\0') {
        return Err(Error::invalid("`id` is no id of an event."));
    }
    let at = OffsetDateTime::from_unix_timestamp(event.created)
        .map_err(|_| Error::invalid("`created` is no time."))?;
    let change = match event.kind.as_str() {
        "customer.subscription.created"
        | "customer.subscription.updated"
        | "customer.subscription.paused"
        | "customer.subscription.resumed"
        | "customer.subscription.deleted" => Some(change(&event, tiers)?),
        _ => None,
    };
    Ok(Told {
        event: event.id,
        at,
        change,
    })
}

fn change(event: &Event, tiers: &BTreeMap<String, String>) -> Result<Change> {
    let subscription = &event.data.object;
    let text = |name: &str| {
        let text = subscription[name]
            .as_str()
            .or(subscription[name]["id"].as_str());
        let text = text.filter(|text| text.len() <= ID_MAX && !text.contains('\0'));
        let missing = || Error::invalid(format!("`data.object.{name}` is missing."));
        text.map(str::to_owned).ok_or_else(missing)
    };
    let status = subscription["status"].as_str().unwrap_or_default();
    let gives = match (event.kind.as_str(), status) {
        ("customer.subscription.deleted", _)
        | (_, "canceled" | "unpaid" | "incomplete_expired" | "paused") => Gives::Default,
        (_, "active" | "trialing") => given(subscription, tiers),
        _ => Gives::Nothing,
    };
    Ok(Change {
        subscription: text("id")?,
        customer: text("customer")?,
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
            let change = told.change.unwrap();
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
            r#"{"id":"evt_1","type":"x","created":"now","data":{"object":{}}}"#,
            r#"{"id":"","type":"x","created":1,"data":{"object":{}}}"#,
            r#"{"id":"evt_1","type":"x","created":9223372036854775807,"data":{"object":{}}}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":{"object":{}}}"#,
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":1,"data":{"object":{"id":"sub_1"}}}"#,
        ] {
            let refused = read(text.as_bytes(), &BTreeMap::new());
            assert_eq!(refused.unwrap_err().code.status, 400, "{text}");
        }
        let other = br#"{"id":"evt_1","type":"invoice.paid","created":1,"data":{"object":null}}"#;
        assert_eq!(read(other, &BTreeMap::new()).unwrap().change, None);
    }
}
