//! The attributes of `bulkhead-sdk`, which re-exports them with their documentation and examples. Each refuses a wrong shape with a sentence at
//! the place that is wrong, and expands to paths below `::bulkhead_sdk::__private` only.

mod agent;
mod arguments;
mod attribute;
mod tool;

use proc_macro::TokenStream;

/// Makes a function the agent of this crate: `fn(Turn) -> Result<Outcome>`.
#[proc_macro_attribute]
pub fn agent(attribute: TokenStream, item: TokenStream) -> TokenStream {
    answer(agent::expand(attribute.into(), item.into()))
}

/// Makes a function a tool of the agent: `function::TOOL`.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    answer(tool::expand(attribute.into(), item.into()))
}

/// Lets a struct or enum be an argument or an answer of a tool: derives its JSON forms and its schema.
#[proc_macro_attribute]
pub fn arguments(attribute: TokenStream, item: TokenStream) -> TokenStream {
    answer(arguments::expand(attribute.into(), item.into()))
}

fn answer(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
