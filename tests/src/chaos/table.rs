//! The table at the end: for each fault how many rounds, how fast runs went on, and what went wrong.

use std::fmt::Write as _;
use std::time::Duration;

use super::round::Outcome;

/// One line for each fault, in the order of their first round.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut faults: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !faults.contains(&outcome.fault) {
            faults.push(outcome.fault);
        }
    }
    let mut text = String::from(
        "fault               | rounds |  runs | connections | recovery p50 / p99 / max (s) | lost | repeated | again | tokens heard / billed, unheard ~ billed | violations\n",
    );
    for fault in faults {
        let of = || outcomes.iter().filter(|outcome| outcome.fault == fault);
        if let Some(why) = of().find_map(|outcome| outcome.skipped) {
            writeln!(text, "{fault:<19} | skipped: {why}").expect("memory");
            continue;
        }
        let sum = |count: fn(&Outcome) -> usize| of().map(count).sum::<usize>();
        let mut recovery: Vec<Duration> = of().flat_map(|o| o.recovery.clone()).collect();
        recovery.sort_unstable();
        let at = |percent: usize| match recovery.len() {
            0 => "-".to_owned(),
            n => format!("{:.2}", recovery[(n - 1) * percent / 100].as_secs_f64()),
        };
        let times = format!(
            "{} / {} / {} of {}",
            at(50),
            at(99),
            at(100),
            recovery.len()
        );
        let tokens = |n: usize| of().map(|o| o.tokens[n]).sum::<u64>();
        let tokens = format!(
            "{} / {}, {} ~ {}",
            tokens(0),
            tokens(1),
            tokens(2),
            tokens(3)
        );
        writeln!(
            text,
            "{fault:<19} | {:>6} | {:>5} | {:>11} | {times:>28} | {:>4} | {:>8} | {:>5} | {tokens:>39} | {:>10}",
            of().count(),
            sum(|o| o.runs),
            sum(|o| o.connections),
            sum(|o| o.lost),
            sum(|o| o.repeated),
            sum(|o| o.again),
            sum(|o| o.violations.len()),
        )
        .expect("memory");
    }
    text
}
