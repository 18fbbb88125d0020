//! The attributes of `bulkhead-sdk`, which re-exports them with their documentation and examples. Each refuses a wrong shape with a sentence at
//! the place that is wrong, and expands to paths below `::bulkhead_sdk::__private` only.

mod agent;
mod arguments;
mod attribute;
mod guardrail;
mod tool;

use proc_macro::TokenStream;

/// Makes a function the agent of this crate: `fn(Turn) -> Result<Outcome>`.
#[proc_macro_attribute]
pub fn agent(attribute: TokenStream, item: TokenStream) -> TokenStream {
    answer(agent::expand(attribute.into(), item.clone().into()), item)
}

/// Makes a function the guardrail of this crate: `fn(Subject) -> Verdict`.
#[proc_macro_attribute]
pub fn guardrail(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = guardrail::expand(&attribute.into(), item.clone().into());
    answer(expanded, item)
}

/// Makes a function a tool of the agent: `function::TOOL`.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    answer(tool::expand(attribute.into(), item.clone().into()), item)
}

/// Lets a struct or enum be an argument or an answer of a tool: derives its JSON forms and its schema.
#[proc_macro_attribute]
pub fn arguments(attribute: TokenStream, item: TokenStream) -> TokenStream {
    answer(
        arguments::expand(attribute.into(), item.clone().into()),
        item,
    )
}

/// The expansion, or the sentence beside the item as it was: one mistake is not to look like many.
fn answer(expanded: syn::Result<proc_macro2::TokenStream>, item: TokenStream) -> TokenStream {
    expanded
        .unwrap_or_else(|error| refused(&error, item.into()))
        .into()
}

fn refused(error: &syn::Error, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let sentence = error.to_compile_error();
    match syn::parse2::<syn::ItemFn>(item.clone()) {
        Ok(mut function) => {
            attribute::strip_parameter_documentation(&mut function);
            quote::quote!(#sentence #[allow(unused)] #function)
        }
        Err(_) => quote::quote!(#sentence #item),
    }
}
