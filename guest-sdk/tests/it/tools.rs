//! What `#[tool]` tells a model, and what a model may write.

use std::collections::BTreeMap;

use bulkhead_sdk::tools::Effect;
use bulkhead_sdk::{Args, Result, Tool, arguments, tool};
use serde_json::{Value, json};

/// Where a parcel is.
#[arguments]
struct Place {
    /// The street and the number.
    street: String,
    zip: u32,
}

#[arguments]
enum Speed {
    Slow,
    Fast,
}

/// Sends a parcel.
///
/// It cannot be called back.
#[tool(effect = "destructive")]
fn send(
    /// Where it goes.
    to: Place,
    /// How fast; slow where it is left out.
    speed: Option<Speed>,
    labels: Vec<String>,
) -> Result<Place> {
    match speed {
        Some(Speed::Fast) if labels.is_empty() => Err("a fast parcel needs a label")?,
        _ => Ok(to),
    }
}

/// Takes a place as a whole.
#[tool]
fn find(Args(place): Args<Place>) -> Result<BTreeMap<String, u32>> {
    Ok(BTreeMap::from([(place.street, place.zip)]))
}

/// Reads a number, with an error that is not the SDK's.
#[tool]
fn number(r#in: String) -> Result<i64, std::num::ParseIntError> {
    r#in.parse()
}

/// Takes nothing.
#[tool]
fn nothing() -> Result<()> {
    Ok(())
}

fn schema(tool: &Tool) -> Value {
    serde_json::from_str(&(tool.input_schema)()).expect("a schema is JSON")
}

fn check(tool: &Tool, arguments: &str, expected: Result<&str, &str>) {
    let answer = (tool.call)(arguments);
    assert_eq!(
        answer.as_deref().map_err(String::as_str),
        expected,
        "{}({arguments})",
        tool.name
    );
}

#[test]
fn a_tool_is_told_as_its_function_is_written() {
    assert_eq!(send::TOOL.name, "send");
    assert_eq!(
        send::TOOL.description,
        "Sends a parcel.\n\nIt cannot be called back."
    );
    assert_eq!(
        (send::TOOL.effect, find::TOOL.effect),
        (Effect::Destructive, Effect::Read)
    );
}

#[test]
fn parameters_become_a_schema() {
    let place = json!({
        "description": "Where it goes.",
        "type": "object",
        "properties": {
            "street": {"description": "The street and the number.", "type": "string"},
            "zip": {"type": "integer", "format": "uint32", "minimum": 0},
        },
        "required": ["street", "zip"],
        "additionalProperties": false,
    });
    let speed = json!({
        "description": "How fast; slow where it is left out.",
        "type": ["string", "null"],
        "enum": ["Slow", "Fast", null],
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "to": place,
            "speed": speed,
            "labels": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["to", "labels"],
        "additionalProperties": false,
    });
    assert_eq!(schema(&send::TOOL), expected);
    let nothing_asked =
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    assert_eq!(schema(&nothing::TOOL), nothing_asked);
}

#[test]
fn a_whole_struct_becomes_a_schema() {
    let schema = schema(&find::TOOL);
    assert_eq!(schema["required"], json!(["street", "zip"]));
    assert_eq!((schema.get("title"), schema.get("$schema")), (None, None));
}

#[test]
fn what_a_model_writes_is_read_or_refused_by_name() {
    let place = r#"{"street": "Elm 1", "zip": 7}"#;
    let sent = r#"{"street":"Elm 1","zip":7}"#;
    check(
        &send::TOOL,
        &format!(r#"{{"to": {place}, "labels": []}}"#),
        Ok(sent),
    );
    check(
        &send::TOOL,
        &format!(r#"{{"to": {place}, "labels": [], "speed": "Fast"}}"#),
        Err("a fast parcel needs a label"),
    );
    check(&send::TOOL, "{}", Err("argument `to` is missing"));
    check(
        &send::TOOL,
        r#"{"to": {"street": 1}}"#,
        Err("argument `to`: invalid type: integer `1`, expected a string"),
    );
    check(&find::TOOL, place, Ok(r#"{"Elm 1":7}"#));
    check(
        &find::TOOL,
        r#"{"street": "Elm 1", "zip": 7, "town": "X"}"#,
        Err("the arguments do not fit: unknown field `town`, expected `street` or `zip`"),
    );
    check(&number::TOOL, r#"{"in": "12"}"#, Ok("12"));
    check(
        &number::TOOL,
        r#"{"in": "x"}"#,
        Err("invalid digit found in string"),
    );
    check(&nothing::TOOL, "", Ok("null"));
    check(
        &nothing::TOOL,
        r#"{"a": 1}"#,
        Err("there is no argument `a`"),
    );
    check(
        &nothing::TOOL,
        "[]",
        Err("the arguments must be a JSON object"),
    );
    let broken = (nothing::TOOL.call)("{").unwrap_err();
    assert!(
        broken.starts_with("the arguments are not valid JSON: "),
        "{broken}"
    );
}
