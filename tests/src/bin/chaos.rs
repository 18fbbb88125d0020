//! `chaos [SEED] [--fault NAME] [--rounds N] [--long] [--dead-after-ms N]`: rounds in which something goes wrong. The
//! first round has the seed, each further one the next number; a round that fails prints the command that repeats it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use bulkhead_tests::chaos::faults::{Fault, all, named};
use bulkhead_tests::chaos::table::table;
use bulkhead_tests::chaos::{Outcome, Plan, play};
use bulkhead_tests::folder::random;

const USAGE: &str =
    "chaos [SEED] [--fault NAME] [--rounds N] [--long] [--dead-after-ms N] [--aloud]";

struct Orders {
    plan: Plan,
    faults: Vec<&'static Fault>,
    rounds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let orders = match orders() {
        Ok(orders) => orders,
        Err(complaint) => {
            let names: Vec<&str> = all().map(|fault| fault.name).collect();
            tell(&format!(
                "{complaint}\n{USAGE}\nfaults: {}",
                names.join(", ")
            ));
            return ExitCode::from(2);
        }
    };
    let mut outcomes = Vec::new();
    for fault in &orders.faults {
        tell(&format!("{}: {}", fault.name, fault.about));
        for number in 0..orders.rounds {
            let plan = Plan {
                seed: orders.plan.seed.wrapping_add(number),
                ..orders.plan.clone()
            };
            let outcome = Box::pin(play(plan, fault)).await;
            report(&outcome, orders.plan.aloud);
            outcomes.push(outcome);
        }
    }
    tell(&table(&outcomes));
    if outcomes.iter().all(|o| o.violations.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn orders() -> Result<Orders, String> {
    let (mut seed, mut fault, mut rounds) = (random() % 1_000_000, None, None);
    let (mut long, mut aloud, mut dead_after_ms) = (false, false, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().unwrap_or_default();
            text.parse().map_err(|_| format!("{word} takes a number"))
        };
        match word.as_str() {
            "--fault" => fault = Some(words.next().unwrap_or_default()),
            "--rounds" => rounds = Some(number()?),
            "--dead-after-ms" => dead_after_ms = Some(number()?),
            "--long" => long = true,
            "--aloud" => aloud = true,
            _ => seed = word.parse().map_err(|_| format!("{word} is no seed"))?,
        }
    }
    let faults = match fault {
        None => all().collect(),
        Some(name) => vec![named(&name).ok_or_else(|| format!("there is no fault {name}"))?],
    };
    let quick = Plan::quick(seed);
    Ok(Orders {
        plan: Plan {
            long,
            aloud,
            dead_after_ms: dead_after_ms.unwrap_or(quick.dead_after_ms),
            ..quick
        },
        faults,
        rounds: rounds.unwrap_or(if long { 100 } else { 1 }),
    })
}

fn report(outcome: &Outcome, told: bool) {
    let verdict = match (outcome.skipped, outcome.violations.len()) {
        (Some(why), _) => format!("skipped: {why}"),
        (None, 0) => format!("{} runs, sound", outcome.runs),
        (None, n) => format!("{n} violations\n  {}", outcome.violations.join("\n  ")),
    };
    tell(&format!(
        "  seed {} in {:.1} s: {verdict}",
        outcome.seed,
        outcome.took.as_secs_f64()
    ));
    if !outcome.violations.is_empty() {
        if !told {
            tell(&format!("  {}", outcome.story.join("\n  ")));
        }
        tell(&format!("  again: {}", outcome.command));
    }
}

fn tell(line: &str) {
    // Nobody may be left to read it.
    let _ = writeln!(io::stdout(), "{line}");
}
