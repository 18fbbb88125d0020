//! The list agent: keeps a list for the conversation, by tools that read it, change it and clear it.
//! The host calls it once for each turn.

mod list;

use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent, tool};

pub use list::Item;

const INSTRUCTIONS: &str = "\
You keep a shopping list for the person you talk with.
- The list is what the tools say it is: look at it with `show` before you say what is on it.
- `clear` cannot be undone. Call it without `confirmed` first, tell what would be lost, and call it again with \
`confirmed` only after the person agreed.
- Say in one sentence what you changed.
- Answer in the language of the question.";

/// A name is put into one form, so that the same thing is on the list once.
const NAME_BYTES_MAX: usize = 100;

/// Reads the list.
#[tool]
pub fn show() -> Result<Vec<Item>> {
    list::all()
}

/// Puts something on the list, or changes how much of it is wanted.
#[tool(effect = "mutate")]
pub fn put(
    /// What, in the singular, such as `egg`.
    name: String,
    /// How many of it; 1 where it is left out.
    amount: Option<u32>,
) -> Result<Item> {
    let item = Item {
        name: normal(&name)?,
        amount: amount.unwrap_or(1),
    };
    if item.amount == 0 {
        Err("an amount is at least 1: `remove` takes something off the list")?;
    }
    list::put(&item)?;
    Ok(item)
}

/// Takes something off the list.
#[tool(effect = "mutate")]
pub fn remove(
    /// What, as `show` names it.
    name: String,
) -> Result<String> {
    let name = normal(&name)?;
    if list::remove(&name)? {
        Ok(format!("{name} is off the list"))
    } else {
        Err(format!("{name} is not on the list"))?
    }
}

/// Takes everything off the list. It cannot be brought back.
#[tool(effect = "destructive")]
pub fn clear(
    /// Whether the person agreed to lose the list; where it is left out, nothing is changed and what would be lost is
    /// answered.
    confirmed: Option<bool>,
) -> Result<String> {
    let items = list::all()?;
    if confirmed != Some(true) {
        return Ok(format!(
            "{} would be lost; nothing was changed",
            things(items.len())
        ));
    }
    for item in &items {
        list::remove(&item.name)?;
    }
    Ok(format!("{} lost; the list is empty", things(items.len())))
}

/// Keeps a list, by tools that read it, change it and clear it.
#[agent(tools(show, put, remove, clear))]
pub fn tools(turn: Turn) -> Result<Outcome> {
    Agent::new(INSTRUCTIONS).max_tokens(512).run(&turn)
}

fn normal(name: &str) -> Result<String> {
    let name = name.trim().to_lowercase();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        Err(format!(
            "a name has 1 to {NAME_BYTES_MAX} bytes, on one line"
        ))?;
    }
    Ok(name)
}

fn things(count: usize) -> String {
    match count {
        1 => "1 thing".to_owned(),
        count => format!("{count} things"),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_sdk::mock::{Answer, MockHost, Recording, Transcript};
    use serde_json::{Value, json};

    use super::*;

    /// What the tools answered, one by one.
    fn answers(transcript: &Transcript) -> Vec<std::result::Result<String, String>> {
        let calls = transcript.tool_calls();
        calls.into_iter().map(|call| call.answer).collect()
    }

    /// The agent, where the model asks for these calls and then has nothing more to say.
    fn after(calls: &[(&str, Value)]) -> Transcript {
        let host = calls
            .iter()
            .fold(MockHost::new(), |host, (name, arguments)| {
                host.model(Answer::call(name, arguments.clone()))
            });
        host.model("Done.").run(tools, "Please.")
    }

    #[test]
    fn what_is_put_is_on_the_list_once() {
        let transcript = after(&[
            ("put", json!({"name": "Egg", "amount": 6})),
            ("put", json!({"name": " egg "})),
            ("put", json!({"name": "milk"})),
            ("show", json!({})),
        ]);
        assert_eq!(
            answers(&transcript)[3],
            Ok(r#"[{"amount":1,"name":"egg"},{"amount":1,"name":"milk"}]"#.to_owned())
        );
        assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
    }

    #[test]
    fn what_cannot_be_is_told_to_the_model() {
        let transcript = after(&[
            ("put", json!({"name": ""})),
            ("put", json!({"name": "egg", "amount": 0})),
            ("remove", json!({"name": "egg"})),
            ("show", json!({})),
        ]);
        let told = [
            Err("a name has 1 to 100 bytes, on one line".to_owned()),
            Err("an amount is at least 1: `remove` takes something off the list".to_owned()),
            Err("egg is not on the list".to_owned()),
            Ok("[]".to_owned()),
        ];
        assert_eq!(answers(&transcript), told);
    }

    #[test]
    fn nothing_is_lost_without_a_word() {
        let transcript = after(&[
            ("put", json!({"name": "egg"})),
            ("clear", json!({})),
            ("show", json!({})),
            ("clear", json!({"confirmed": true})),
            ("show", json!({})),
        ]);
        let said = answers(&transcript);
        assert_eq!(
            said[1],
            Ok("1 thing would be lost; nothing was changed".to_owned())
        );
        assert_eq!(said[2], Ok(r#"[{"amount":1,"name":"egg"}]"#.to_owned()));
        assert_eq!(said[4], Ok("[]".to_owned()));
    }

    #[test]
    fn the_host_is_told_what_each_changes() {
        let effects = [show::TOOL, put::TOOL, remove::TOOL, clear::TOOL]
            .map(|tool| format!("{:?}", tool.effect));
        assert_eq!(effects, ["Read", "Mutate", "Mutate", "Destructive"]);
    }

    #[test]
    fn it_does_what_it_did_when_it_was_recorded() {
        let transcript = Recording::read("tests/fixtures/list.json").replay(tools);
        assert!(
            transcript.text().contains("6 eggs"),
            "{}",
            transcript.text()
        );
    }
}
