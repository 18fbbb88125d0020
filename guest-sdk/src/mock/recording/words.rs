//! Requests and answers as a person reads them, and two of them line by line. Bounded: texts too long to be matched
//! line by line stand one before the other.

use serde_json::Value;

/// Cells of the table that matches lines.
const CELLS_MAX: usize = 1 << 20;
/// Lines that are the same and stand around a difference.
const AROUND: usize = 2;
/// What is shown of one difference, in bytes.
const SHOWN_BYTES: usize = 16 << 10;

enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// What a request to the model asks, a line for each line of it.
pub(super) fn request(request: &Value) -> String {
    let mut lines = Vec::new();
    if let Some(model) = request["model"].as_str() {
        lines.push(format!("model: {model}"));
    }
    if let Some(most) = request["max_tokens"].as_u64() {
        lines.push(format!("max tokens: {most}"));
    }
    for tool in list(&request["tools"]) {
        lines.push(format!(
            "tool {}: {}",
            word(tool, "name"),
            word(tool, "description")
        ));
        lines.push(format!("  takes {}", word(tool, "input_schema")));
    }
    for message in list(&request["messages"]) {
        let role = word(message, "role").to_lowercase();
        for part in list(&message["parts"]) {
            lines.push(format!("{role}: {}", self::part(part)));
        }
    }
    lines.join("\n")
}

/// What a search looks for.
pub(super) fn query(query: &Value) -> String {
    let tags: Vec<_> = list(&query["tags"]).filter_map(Value::as_str).collect();
    format!(
        "text: {}\nlimit: {}\ntags: {}",
        word(query, "text"),
        query["limit"],
        tags.join(", ")
    )
}

fn part(part: &Value) -> String {
    if let Some(text) = part["Text"].as_str() {
        return text.to_owned();
    }
    if let Some(passages) = part["Passages"].as_array() {
        let each = passages.iter().map(|passage| {
            let (title, text) = (word(passage, "title"), word(passage, "text"));
            format!("[{}] {title}\n{text}", passage["number"])
        });
        return format!("passages\n{}", each.collect::<Vec<_>>().join("\n"));
    }
    let call = &part["ToolCall"];
    if call.is_object() {
        return format!("calls {} {}", word(call, "name"), word(call, "arguments"));
    }
    let result = &part["ToolResult"];
    let how = if result["failed"] == true {
        "failed"
    } else {
        "answered"
    };
    format!("{how} {}", word(result, "content"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// `- ` was recorded, `+ ` is now.
pub(super) fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tails = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = tails.take_while(|(a, b)| a == b).count();
    let middle = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines: Vec<Line<'_>> = old[..head].iter().map(|line| Line::Both(line)).collect();
    matched(middle, &mut lines);
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Both(line)));
    let mut shown = shown(&lines);
    if shown.len() > SHOWN_BYTES {
        shown.truncate(shown.floor_char_boundary(SHOWN_BYTES));
        shown.push('…');
    }
    shown
}

/// The longest common subsequence of the middles, and what is not in it.
fn matched<'a>((old, new): (&[&'a str], &[&'a str]), lines: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > CELLS_MAX {
        lines.extend(old.iter().map(|line| Line::Old(line)));
        lines.extend(new.iter().map(|line| Line::New(line)));
        return;
    }
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Both(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            lines.push(Line::Old(old[i]));
            i += 1;
        } else {
            lines.push(Line::New(new[j]));
            j += 1;
        }
    }
}

/// Without the lines that are far from any difference.
fn shown(lines: &[Line<'_>]) -> String {
    let differs = |line: &Line<'_>| !matches!(line, Line::Both(_));
    let mut text = String::new();
    let mut passed_over = false;
    for (n, line) in lines.iter().enumerate() {
        let near = &lines[n.saturating_sub(AROUND)..(n + AROUND + 1).min(lines.len())];
        if !near.iter().any(differs) {
            passed_over = true;
            continue;
        }
        if std::mem::take(&mut passed_over) {
            text.push_str("  …\n");
        }
        let (mark, line) = match line {
            Line::Both(line) => ("  ", line),
            Line::Old(line) => ("- ", line),
            Line::New(line) => ("+ ", line),
        };
        text.push_str(mark);
        text.push_str(line);
        text.push('\n');
    }
    text
}
