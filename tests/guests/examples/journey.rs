//! Does what it is told, a line at a time: the whole of a run in a test's own words.
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bulkhead_sdk::model::{Chunk, Message, Request};
use bulkhead_sdk::{
    Outcome, Result, Turn, agent, clock, knowledge, memory, model, output, settings, tools,
};

/// Follows its instructions.
#[agent]
fn journey(turn: Turn) -> Result<Outcome> {
    let mut open = None;
    for line in turn.text().lines() {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "say" => output::text(rest),
            "status" => output::status(rest),
            "ask" => ask(rest)?,
            // Takes so many pieces of a generation and keeps it open.
            "open" => open = Some(begin(rest)?),
            "close" => open = None,
            "search" => {
                for hit in knowledge::search(&knowledge::Query::new(rest))? {
                    output::text(&format!("[{}]", hit.title));
                }
            }
            "sleep" => {
                clock::sleep(Duration::from_millis(rest.parse().unwrap_or(0)));
            }
            "dice" => output::text(&format!("{:x} ", RandomState::new().hash_one(0))),
            "clock" => output::text(&format!("{} ", clock::now().unix_milliseconds())),
            "spin" => {
                for n in 0..rest.parse().unwrap_or(0_u64) {
                    std::hint::black_box(n);
                }
            }
            "tool" => {
                let call = tools::started(rest, "{}");
                tools::finished(call, Ok("done"));
            }
            "hoard" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                }
            }
            "flood" => {
                let line = "x".repeat(1 << 10);
                for _ in 0..rest.parse().unwrap_or(0_u64) >> 10 {
                    output::text(&line);
                }
            }
            "fail" => panic!("{rest}"),
            _ if keeps(verb, rest)? => {}
            _ => output::text(&format!("? {line}")),
        }
    }
    drop(open);
    Ok(Outcome::EndTurn)
}

/// What there is of memory and settings.
fn keeps(verb: &str, rest: &str) -> Result<bool> {
    match verb {
        "remember" => {
            let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
            memory::set(key, value)?;
        }
        // So many keys of so many bytes, until there is no room.
        "fill" => {
            let (count, bytes) = rest.split_once(' ').unwrap_or((rest, ""));
            let value = "x".repeat(bytes.parse().unwrap_or(0));
            for n in 0..count.parse().unwrap_or(0) {
                if let Err(error) = memory::set(&format!("key-{n:05}"), &value) {
                    output::text(&format!("{n}: {error} "));
                    break;
                }
            }
        }
        "recall" => output::text(&match memory::get(rest)? {
            Some(value) => format!("{rest}={value} "),
            None => format!("no {rest} "),
        }),
        "forget" if memory::delete(rest)? => output::text("gone "),
        "forget" => output::text("not there "),
        "keys" => output::text(&format!("[{}] ", memory::keys(rest)?.join(" "))),
        "settings" => {
            for (name, value) in settings::all() {
                output::text(&format!("{name}={value} "));
            }
        }
        "setting" => output::text(&settings::get(rest).unwrap_or_default()),
        _ => return Ok(false),
    }
    Ok(true)
}

fn request(question: &str) -> Request {
    Request::new(vec![Message::user(question)])
}

fn ask(question: &str) -> Result<()> {
    for chunk in model::generate(&request(question))? {
        if let Chunk::Text(text) = chunk? {
            output::text(&text);
        }
    }
    Ok(())
}

fn begin(question: &str) -> Result<model::Generation> {
    let mut generation = model::generate(&request(question))?;
    if let Some(Chunk::Text(text)) = generation.next().transpose()? {
        output::text(&text);
    }
    Ok(generation)
}
