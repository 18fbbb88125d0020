//! What models cost: the price table of the configuration, checked once, and the cost of a generation and of a run.
//! A model that has no price has no cost: never zero.

mod money;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meter::Entry;

pub use money::Money;

/// What a model costs, as decimal numbers in quotes: per million tokens, in the host's currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub input_per_million: String,
    pub output_per_million: String,
    /// Of input that the provider had in its cache; as other input where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_per_million: Option<String>,
}

/// The table, by `connection/model` or `model`.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    models: BTreeMap<String, Price>,
    per_run: Money,
    fuel_per_million: Money,
}

#[derive(Clone, Copy, Debug)]
struct Price {
    input: Money,
    output: Money,
    cached: Money,
}

impl Prices {
    /// Refuses a row that cannot be read, by the name of its key.
    pub fn read(config: &super::Config) -> Result<Self, String> {
        let money = |key: String, text: &str| {
            text.parse::<Money>()
                .map_err(|what| format!("`{key}` is `{text:.40}`: {what}."))
        };
        let mut models = BTreeMap::new();
        for (name, row) in &config.prices {
            let key = |field: &str| format!("billing.prices.\"{name}\".{field}");
            let input = money(key("input_per_million"), &row.input_per_million)?;
            let cached = match &row.cached_per_million {
                Some(text) => money(key("cached_per_million"), text)?,
                None => input,
            };
            let output = money(key("output_per_million"), &row.output_per_million)?;
            let price = Price {
                input,
                output,
                cached,
            };
            models.insert(name.clone(), price);
        }
        Ok(Self {
            models,
            per_run: money("billing.price_per_run".into(), &config.price_per_run)?,
            fuel_per_million: money(
                "billing.price_per_million_fuel".into(),
                &config.price_per_million_fuel,
            )?,
        })
    }

    /// Whether anything has a price.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty() && self.per_run == Money(0) && self.fuel_per_million == Money(0)
    }

    /// What a generation costs; `None` where its model has no price and it used anything.
    pub fn of_entry(&self, entry: &Entry) -> Option<Money> {
        let tokens = entry.tokens;
        let full = format!("{}/{}", entry.of.connection, entry.of.model);
        let price = self
            .models
            .get(&full)
            .or_else(|| self.models.get(&entry.of.model));
        let Some(price) = price else {
            return (tokens.input == 0 && tokens.output == 0).then(Money::default);
        };
        let cached = tokens.cached.min(tokens.input);
        let input = price.input.per_million(tokens.input - cached);
        let output = price.output.per_million(tokens.output);
        Some(input.plus(price.cached.per_million(cached)).plus(output))
    }

    /// What a run costs besides its generations.
    pub fn of_run(&self, fuel: i64) -> Money {
        let fuel = u64::try_from(fuel).unwrap_or(0);
        self.per_run.plus(self.fuel_per_million.per_million(fuel))
    }
}
