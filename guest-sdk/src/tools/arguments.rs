//! How a tool's arguments are told to a model (JSON Schema) and read from what it wrote, and how the answer is put.
//! The expansion of `#[tool]` calls this; authors see [`Args`] and the two traits in the compiler's sentences.

use std::fmt::Display;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// All arguments of a tool as one struct, in place of one parameter each. `#[arguments]` writes what the struct needs.
///
/// ```
/// use bulkhead_sdk::{Args, Result, arguments, tool};
///
/// #[arguments]
/// struct Trip {
///     /// Where to.
///     city: String,
///     /// For how long; a day where it is left out.
///     days: Option<u32>,
/// }
///
/// /// Plans a trip.
/// #[tool]
/// fn plan(Args(trip): Args<Trip>) -> Result<String> {
///     Ok(format!("{} days in {}", trip.days.unwrap_or(1), trip.city))
/// }
///
/// assert_eq!((plan::TOOL.call)(r#"{"city": "Oslo"}"#), Ok("1 days in Oslo".to_owned()));
/// assert!((plan::TOOL.input_schema)().contains(r#""description":"Where to.""#));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<T>(pub T);

/// What can be an argument of a tool: whatever has a JSON Schema and can be read from JSON.
///
/// ```
/// fn ask<T: bulkhead_sdk::tools::Argument>() {}
///
/// ask::<Vec<Option<String>>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a tool",
    label = "no JSON Schema describes it",
    note = "use numbers, `bool`, `String`, `Vec`, `Option`, or a struct or enum of these under `#[bulkhead_sdk::arguments]`"
)]
pub trait Argument: DeserializeOwned + JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema> Argument for T {}

/// What a tool can answer: whatever can be written as JSON. A text is answered as it is.
///
/// ```
/// fn tell<T: bulkhead_sdk::tools::Answer>() {}
///
/// tell::<(String, u8)>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a tool",
    label = "it cannot be written as JSON",
    note = "answer a `String`, a number, or a struct under `#[bulkhead_sdk::arguments]`"
)]
pub trait Answer: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Answer for T {}

/// The arguments a model wrote, taken one by one.
#[doc(hidden)]
pub struct Object(Map<String, Value>);

impl Object {
    pub fn parse(arguments: &str) -> Result<Self, String> {
        // Some models write nothing where a tool takes nothing.
        let text = if arguments.trim().is_empty() {
            "{}"
        } else {
            arguments
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(_) => Err("the arguments must be a JSON object".to_owned()),
            Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
        }
    }

    pub fn take<T: Argument>(&mut self, name: &str) -> Result<T, String> {
        let value = self
            .0
            .remove(name)
            .ok_or_else(|| format!("argument `{name}` is missing"))?;
        serde_json::from_value(value).map_err(|error| format!("argument `{name}`: {error}"))
    }

    /// Takes an `Option`, which may be left out.
    pub fn take_optional<T: Argument>(&mut self, name: &str) -> Result<T, String> {
        let value = self.0.remove(name).unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| format!("argument `{name}`: {error}"))
    }

    pub fn finish(self) -> Result<(), String> {
        match self.0.keys().next() {
            Some(name) => Err(format!("there is no argument `{name}`")),
            None => Ok(()),
        }
    }
}

/// The schema of arguments that are a function's parameters.
#[doc(hidden)]
pub struct Properties {
    generator: SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Default for Properties {
    fn default() -> Self {
        Self {
            generator: generator(),
            properties: Map::new(),
            required: Vec::new(),
        }
    }
}

impl Properties {
    #[must_use]
    pub fn required<T: Argument>(mut self, name: &str, description: &str) -> Self {
        self.required.push(name.into());
        self.optional::<T>(name, description)
    }

    #[must_use]
    pub fn optional<T: Argument>(mut self, name: &str, description: &str) -> Self {
        let mut schema = self.generator.subschema_for::<T>();
        if !description.is_empty() {
            schema.insert("description".to_owned(), description.into());
        }
        self.properties.insert(name.to_owned(), schema.to_value());
        self
    }

    #[must_use]
    pub fn schema(mut self) -> String {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": false,
        });
        let definitions = self.generator.take_definitions(true);
        if !definitions.is_empty() {
            schema["$defs"] = Value::Object(definitions);
        }
        schema.to_string()
    }
}

/// The schema of arguments that are one struct.
#[doc(hidden)]
#[must_use]
pub fn schema_of<T: Argument>() -> String {
    let mut schema: Schema = generator().into_root_schema_for::<T>();
    // The struct's Rust name says nothing to a model, and its doc comment is not the tool's.
    schema.remove("title");
    schema.remove("description");
    schema.to_value().to_string()
}

/// Reads arguments that are one struct.
#[doc(hidden)]
pub fn whole<T: Argument>(arguments: &str) -> Result<Args<T>, String> {
    let Object(object) = Object::parse(arguments)?;
    match serde_json::from_value(Value::Object(object)) {
        Ok(arguments) => Ok(Args(arguments)),
        Err(error) => Err(format!("the arguments do not fit: {error}")),
    }
}

/// Puts what a tool function answered into text.
#[doc(hidden)]
pub fn answer<T: Answer, E: Display>(answer: Result<T, E>) -> Result<String, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match serde_json::to_value(answer) {
        Ok(Value::String(text)) => Ok(text),
        Ok(value) => Ok(value.to_string()),
        Err(error) => Err(format!("the answer cannot be written as JSON: {error}")),
    }
}

/// Everything in place, so that every provider can read it; no `$schema`, the contract names the draft.
fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    settings.into_generator()
}
