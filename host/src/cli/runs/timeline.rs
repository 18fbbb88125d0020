//! A run's steps over its time, as text: when each began, how long it took, the fuel the guest used before it, the
//! tokens of generations; then what each kind took together. As wide as it is told, and without colours.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::terminal::plain;
use crate::cli::terminal::view::{at, count, number};

/// Steps that are drawn; of more, the first.
const DRAWN_MAX: usize = 200;
const KIND_MAX: usize = 20;
const BAR_MIN: usize = 8;
const BAR_MAX: usize = 60;

/// One step, in milliseconds since the run began.
struct Row {
    seq: i64,
    kind: String,
    from: f64,
    to: f64,
    fuel: i64,
    tokens: Option<(i64, i64)>,
}

/// Which columns there is room for, besides number, kind and time.
struct Columns {
    kind: usize,
    bar: usize,
    fuel: bool,
    tokens: bool,
    at: bool,
}

/// The lines; none where nothing was asked of the outside.
pub(super) fn draw(run: &Value, steps: &[Value], width: usize) -> Vec<String> {
    let Some(began) = moment(run, "/created_at") else {
        return Vec::new();
    };
    let since = |value: &Value, pointer| Some(ms(began, moment(value, pointer)?));
    let last = steps.last().and_then(|step| since(step, "/started_at"));
    let wall = since(run, "/ended_at").or(last).unwrap_or(0.0).max(1.0);
    let mut fuel = 0;
    let rows: Vec<Row> = steps
        .iter()
        .map(|step| {
            let before = number(step, "/fuel_before");
            let from = since(step, "/started_at").unwrap_or(0.0);
            let used = before - std::mem::replace(&mut fuel, before);
            let tokens = step.get("tokens").filter(|tokens| tokens.is_object());
            Row {
                seq: number(step, "/seq"),
                kind: plain::line(&at(step, "/kind")),
                from,
                to: since(step, "/ended_at").unwrap_or(wall).max(from),
                fuel: used.max(0),
                tokens: tokens.map(|tokens| (number(tokens, "/input"), number(tokens, "/output"))),
            }
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let columns = Columns::new(&rows, width);
    let mut lines = vec![String::new(), columns.header()];
    lines.extend(
        rows.iter()
            .take(DRAWN_MAX)
            .map(|row| columns.line(row, wall)),
    );
    if rows.len() > DRAWN_MAX {
        let rest = rows.len() - DRAWN_MAX;
        lines.push(format!("… and {rest} more: --steps lists them"));
    }
    lines.push(String::new());
    lines.extend(sums(&rows, wall, number(run, "/usage/fuel")));
    let fitting = |line: &String| line.trim_end().chars().take(width).collect();
    lines.iter().map(fitting).collect()
}

impl Columns {
    fn new(rows: &[Row], width: usize) -> Self {
        let longest = rows.iter().map(|row| row.kind.chars().count()).max();
        let kind = longest.unwrap_or(0).clamp(4, KIND_MAX);
        // Number, kind and time, with a space behind each.
        let mut used = 4 + 1 + kind + 1 + 8;
        let mut room = |needs: usize| {
            let fits = used + 1 + needs <= width;
            used += if fits { 1 + needs } else { 0 };
            fits
        };
        let bar = room(BAR_MIN);
        let (fuel, tokens, at) = (room(7), room(13), room(8));
        let bar = if bar {
            BAR_MIN + width.saturating_sub(used)
        } else {
            0
        };
        Self {
            kind,
            bar: bar.min(BAR_MAX),
            fuel,
            tokens,
            at,
        }
    }

    fn header(&self) -> String {
        let names = [("step", "kind"), ("at", "took"), ("fuel", "tokens")];
        let [(seq, kind), (at, took), (fuel, tokens)] = names;
        self.cells([seq, kind, at, took, fuel, tokens], "")
    }

    fn line(&self, row: &Row, wall: f64) -> String {
        let tokens = row
            .tokens
            .map(|(input, output)| format!("{input}+{output}"));
        self.cells(
            [
                &row.seq.to_string(),
                &row.kind,
                &format!("+{}", took(row.from)),
                &took(row.to - row.from),
                &count(row.fuel),
                &tokens.unwrap_or_default(),
            ],
            &self.drawn(row, wall),
        )
    }

    /// The cells in their order: number, kind, begin, time, fuel, tokens, bar.
    fn cells(&self, [seq, kind, at, took, fuel, tokens]: [&str; 6], bar: &str) -> String {
        let kind: String = kind.chars().take(self.kind).collect();
        let mut line = format!("{seq:>4} {kind:width$}", width = self.kind);
        for (shown, cell, width) in [
            (self.at, at, 8),
            (true, took, 8),
            (self.fuel, fuel, 7),
            (self.tokens, tokens, 13),
        ] {
            if shown {
                line.push_str(&format!(" {cell:>width$}"));
            }
        }
        if self.bar > 0 {
            line.push(' ');
            line.push_str(bar);
        }
        line
    }

    /// From its begin to its end, on the whole run's time.
    fn drawn(&self, row: &Row, wall: f64) -> String {
        let cells = self.bar as f64;
        let place = |ms: f64| (ms / wall * cells).clamp(0.0, cells);
        let from = (place(row.from).floor() as usize).min(self.bar.saturating_sub(1));
        let to = (place(row.to).ceil() as usize).max(from + 1);
        format!("{}{}", " ".repeat(from), "█".repeat(to - from))
    }
}

/// What each kind took together, and what was left for the guest itself.
fn sums(rows: &[Row], wall: f64, fuel: i64) -> Vec<String> {
    #[derive(Default)]
    struct Sum {
        calls: u32,
        ms: f64,
        input: i64,
        output: i64,
    }
    let mut kinds: BTreeMap<&str, Sum> = BTreeMap::new();
    // Steps may overlap: what is outside all of them is the guest's.
    let (mut outside, mut until) = (0.0, 0.0_f64);
    for row in rows {
        let sum = kinds.entry(&row.kind).or_default();
        sum.calls += 1;
        sum.ms += row.to - row.from;
        let (input, output) = row.tokens.unwrap_or_default();
        sum.input += input;
        sum.output += output;
        outside += (row.to - row.from.max(until)).max(0.0);
        until = until.max(row.to);
    }
    let part = |ms: f64| format!("{:.0} %", ms / wall * 100.0);
    let line = |name: &str, ms: f64, rest: String| {
        format!("{name:KIND_MAX$} {:>8} {:>5}  {rest}", took(ms), part(ms))
    };
    let mut lines: Vec<String> = kinds
        .iter()
        .map(|(kind, sum)| {
            let calls = if sum.calls == 1 { "call" } else { "calls" };
            let mut rest = format!("{} {calls}", sum.calls);
            if sum.input + sum.output > 0 {
                rest.push_str(&format!(", {}+{} tokens", sum.input, sum.output));
            }
            line(kind, sum.ms, rest)
        })
        .collect();
    lines.push(line(
        "guest and queue",
        (wall - outside).max(0.0),
        format!("{} fuel", count(fuel)),
    ));
    lines
}

/// `12 ms`, `1.24 s`, `2m05s`.
fn took(ms: f64) -> String {
    match ms {
        ..0.5 => "0 ms".to_owned(),
        ..1_000.0 => format!("{ms:.0} ms"),
        ..60_000.0 => format!("{:.2} s", ms / 1e3),
        _ => {
            let seconds = (ms / 1e3) as u64;
            match seconds {
                ..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
                _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
            }
        }
    }
}

fn moment(value: &Value, pointer: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.pointer(pointer)?.as_str()?, &Rfc3339).ok()
}

fn ms(from: OffsetDateTime, to: OffsetDateTime) -> f64 {
    (to - from).as_seconds_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::draw;

    fn run() -> (Value, Vec<Value>) {
        let run = json!({
            "created_at": "2026-01-02T03:04:05Z", "ended_at": "2026-01-02T03:04:07Z", "usage": { "fuel": 1_250_000 }
        });
        let step = |seq: i64, kind: &str, (from, to): (&str, &str), fuel: i64| {
            json!({
                "seq": seq, "kind": kind, "started_at": format!("2026-01-02T03:04:{from}Z"),
                "ended_at": format!("2026-01-02T03:04:{to}Z"), "fuel_before": fuel
            })
        };
        let mut asked = step(2, "model.generate", ("05.1", "06.5"), 41_000);
        asked["tokens"] = json!({ "input": 812, "output": 96, "estimated": false });
        let searched = step(1, "knowledge.search", ("05.04", "05.1"), 40_000);
        let slept = step(3, "clock.sleep", ("06.5", "07"), 1_041_000);
        (run, vec![searched, asked, slept])
    }

    #[test]
    fn steps_stand_where_their_time_was() {
        let (run, steps) = run();
        let expected = "
step kind                   at     took    fuel        tokens
   1 knowledge.search   +40 ms    60 ms   40.0k               █
   2 model.generate    +100 ms   1.40 s    1000        812+96 ██████████████
   3 clock.sleep       +1.50 s   500 ms    1.0M                            █████

clock.sleep            500 ms  25 %  1 call
knowledge.search        60 ms   3 %  1 call
model.generate         1.40 s  70 %  1 call, 812+96 tokens
guest and queue         40 ms   2 %  1.2M fuel";
        assert_eq!(draw(&run, &steps, 80).join("\n"), expected);
    }

    #[test]
    fn a_narrow_terminal_shows_less() {
        let (run, steps) = run();
        for width in [30, 40, 50, 60, 200] {
            let lines = draw(&run, &steps, width);
            assert!(
                lines.iter().all(|line| line.chars().count() <= width),
                "{lines:#?}"
            );
        }
        let expected = "
step kind                 took
   1 knowledge.search    60 ms █
   2 model.generate     1.40 s ███████
   3 clock.sleep        500 ms       ███";
        let lines = draw(&run, &steps, 40);
        assert_eq!(lines[..5].join("\n"), expected);
    }

    #[test]
    fn a_run_that_asked_nothing_has_none() {
        let (run, _) = run();
        assert!(draw(&run, &[], 80).is_empty());
        assert!(draw(&json!({}), &[json!({})], 80).is_empty());
    }
}
