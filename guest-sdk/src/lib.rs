//! Write agents for Bulkhead: sealed WebAssembly components that a host meters, records and can interrupt.
//!
//! An agent is a function under [`#[agent]`](macro@agent), in a crate of type `cdylib`:
//!
//! ```
#![doc = include_str!("../examples/hello.rs")]
//! ```
//!
//! `cargo build --target wasm32-wasip2` makes the component. All it can do is what these modules offer, and it asks
//! the host only for those it uses: [`model`], [`knowledge`], [`output`], [`tools`], [`memory`], [`settings`], [`clock`],
//! [`log`]. [`Agent`] is a ready loop over the first four. Off the wasm target the same calls reach a [`mock::MockHost`], so
//! agents and tools are tested by plain `cargo test`; no real model can be reached there.
#![deny(missing_docs)]

pub mod agent;
pub mod clock;
pub mod guardrails;
pub mod knowledge;
pub mod log;
#[cfg(not(target_family = "wasm"))]
pub mod mock;
pub mod model;
pub mod output;
pub mod tools;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
mod error;
mod host;
mod kept;
mod turn;

pub use agent::Agent;
/// Makes a function the agent of this crate: `fn(Turn) -> Result<Outcome>`.
///
/// The agent is called like the function, with `-` for `_`, and described by its doc comment (the package's
/// description where it has none). `name = "…"` and `model = "…"` say otherwise; `tools(add, weather)` names the
/// `#[tool]` functions it offers, which the turn then carries. `guardrails = ["…"]` declares what the host is to hold the
/// agent to, such as `"max_tokens=2000"`. `function::manifest()` is what the host is told.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, agent};
///
/// /// Listens.
/// #[agent(name = "good-listener", model = "small")]
/// fn listen(_: Turn) -> Result<Outcome> {
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(listen::manifest().name, "good-listener");
/// ```
#[doc(inline)]
pub use bulkhead_sdk_macros::agent;
/// Lets a struct or enum be an argument or an answer of a tool: derives its JSON forms and its schema.
///
/// ```
/// use bulkhead_sdk::{Result, arguments, tool};
///
/// #[arguments]
/// enum Size {
///     Small,
///     Large,
/// }
///
/// /// Orders a coffee.
/// #[tool]
/// fn coffee(size: Size) -> Result<u8> {
///     Ok(match size {
///         Size::Small => 2,
///         Size::Large => 4,
///     })
/// }
///
/// assert_eq!((coffee::TOOL.call)(r#"{"size": "Large"}"#), Ok("4".to_owned()));
/// ```
#[doc(inline)]
pub use bulkhead_sdk_macros::arguments;
/// Makes a function the guardrail of this crate, a component that judges agents' texts: `fn(Subject) -> Verdict`.
///
/// It has no capabilities, a fresh instance for each text, little fuel and 50 ms; whatever it does but answer ends the
/// run. Deploy it under a name; agents of the organization name it as `component=<name>` among their guardrails.
///
/// ```
/// use bulkhead_sdk::guardrail;
/// use bulkhead_sdk::guardrails::{Place, Subject, Verdict};
///
/// #[guardrail]
/// fn no_shouting(subject: Subject) -> Verdict {
///     match subject.place {
///         Place::Output => Verdict::rewrite(subject.text.replace('!', ".")),
///         _ => Verdict::Allow,
///     }
/// }
///
/// let verdict = no_shouting(Subject::new(Place::Output, "Done!"));
/// assert_eq!(verdict, Verdict::rewrite("Done."));
/// ```
#[doc(inline)]
pub use bulkhead_sdk_macros::guardrail;
/// Makes a function a tool of the agent: `function::TOOL`.
///
/// It is called like the function and described by its doc comment; doc comments on parameters describe the
/// arguments. It answers a `Result`, whose error the model reads. `effect = "read"`, `"mutate"` or `"destructive"` says
/// what a call changes outside the agent; a function that says nothing changes nothing.
///
/// ```
/// use bulkhead_sdk::{Result, tool, tools::Effect};
///
/// /// Books a seat.
/// #[tool(effect = "mutate")]
/// fn book(
///     /// The row, from 1.
///     row: u8,
///     name: Option<String>,
/// ) -> Result<String> {
///     Ok(format!("row {row} for {}", name.unwrap_or_else(|| "you".to_owned())))
/// }
///
/// assert_eq!(book::TOOL.effect, Effect::Mutate);
/// assert_eq!((book::TOOL.call)(r#"{"row": 3}"#), Ok("row 3 for you".to_owned()));
/// assert_eq!((book::TOOL.call)("{}"), Err("argument `row` is missing".to_owned()));
/// ```
#[doc(inline)]
pub use bulkhead_sdk_macros::tool;
pub use error::{Error, Result};
pub use kept::{memory, settings};
pub use tools::{Args, Tool};
pub use turn::{Message, Outcome, Speaker, Turn};

/// What the macros' expansions name; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::agent::{Entry, Manifest};
    #[cfg(target_family = "wasm")]
    pub use crate::bindings;
    pub use crate::guardrails::Judge;
    pub use crate::tools::{Object, Properties, answer, schema_of, whole};
    pub use {schemars, serde};
}
