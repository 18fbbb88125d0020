//! Parts of JSON answers as people read them: numbers with units, times, the receipt of a run.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What stands at a pointer, as text; empty where nothing does.
pub(in crate::cli) fn at(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| at(item, ""))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

pub(in crate::cli) fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// `1.4 MiB`.
pub(in crate::cli) fn bytes(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} bytes")
    } else {
        format!("{size:.1} {}", UNITS[unit])
    }
}

/// `12.3M`.
pub(in crate::cli) fn count(count: i64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..10_000_000 => format!("{:.1}k", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

/// The capabilities a version asks for: its imports but for what every component links.
pub(in crate::cli) fn capabilities<'a>(imports: impl Iterator<Item = &'a str>) -> String {
    let names =
        imports.filter_map(|import| import.strip_prefix("bulkhead:agent/")?.split('@').next());
    names
        .filter(|name| *name != "types")
        .collect::<Vec<_>>()
        .join(", ")
}

/// The rest of a list, where there is more than was asked for.
pub(in crate::cli) fn more(page: &Value) -> Option<String> {
    page.get("next_cursor")
        .and_then(Value::as_str)
        .map(|cursor| format!("more with --cursor {cursor}"))
}

/// A run's receipt, field by field.
pub(in crate::cli) fn receipt(receipt: &Value) -> Vec<(&'static str, String)> {
    let tokens = format!(
        "{} in, {} out",
        number(receipt, "/usage/input_tokens"),
        number(receipt, "/usage/output_tokens")
    );
    vec![
        ("where", at(receipt, "/where")),
        ("requested", at(receipt, "/requested_at")),
        ("observed", after(receipt, "/observed_at")),
        ("stopped", after(receipt, "/stopped_at")),
        ("cut off", at(receipt, "/in_flight")),
        ("tokens", tokens),
        ("fuel", count(number(receipt, "/fuel"))),
        ("memory peak", bytes(number(receipt, "/memory_peak_bytes"))),
    ]
}

/// A moment as its distance from the request.
fn after(receipt: &Value, pointer: &str) -> String {
    let moment =
        |pointer| OffsetDateTime::parse(receipt.pointer(pointer)?.as_str()?, &Rfc3339).ok();
    match (moment("/requested_at"), moment(pointer)) {
        (Some(from), Some(to)) => format!("{:.1} ms later", (to - from).as_seconds_f64() * 1e3),
        (None, Some(_)) => at(receipt, pointer),
        (_, None) => String::new(),
    }
}
