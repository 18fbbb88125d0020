//! `#[agent]`: keeps the function callable by native tests, adds what the host is told under the same name in the type
//! namespace (an empty enum, so nothing can be made of it), and exports both from a component.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::token::{Bracket, Paren};
use syn::{
    Error, FnArg, Ident, ItemFn, LitStr, Path, Result, ReturnType, Token, bracketed, parenthesized,
};

use crate::attribute::{bounded, comma, documentation, option, plain_function, text, text_of};

const HOW: &str = "what is said of an agent has a name, and commas between, as in `name = \"support\", model = \"small\"`";
const SHAPE: &str = "an agent is `fn(turn: Turn) -> Result<Outcome>`";

#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    model: Option<LitStr>,
    tools: Vec<Path>,
    guardrails: Vec<LitStr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut said = Vec::new();
        while !input.is_empty() {
            let key = option(input, &mut said, HOW)?;
            match key.to_string().as_str() {
                "name" => options.name = Some(text(input, &key)?),
                "model" => options.model = Some(model(text(input, &key)?)?),
                "tools" => options.tools = tools(input, &key)?,
                "guardrails" => options.guardrails = guardrails(input, &key)?,
                _ => {
                    let sentence = format!(
                        "an agent has no `{key}`: what can be said is `name = \"…\"`, `model = \"…\"`, `tools(…)` and `guardrails = [\"…\"]`"
                    );
                    return Err(Error::new(key.span(), sentence));
                }
            }
            comma(input, HOW)?;
        }
        Ok(options)
    }
}

/// Not empty: nobody could answer to that.
fn model(alias: LitStr) -> Result<LitStr> {
    if alias.value().trim().is_empty() {
        let sentence =
            "a model is asked for by an alias: leave `model` out for the one called `default`";
        return Err(Error::new(alias.span(), sentence));
    }
    Ok(alias)
}

/// The named tools, which a model can tell apart.
fn tools(input: ParseStream<'_>, key: &Ident) -> Result<Vec<Path>> {
    let sentence = "tools are named in parentheses: write `tools(add, weather)`";
    if !input.peek(Paren) {
        return Err(Error::new(key.span(), sentence));
    }
    let list;
    parenthesized!(list in input);
    let paths = Punctuated::<Path, Token![,]>::parse_terminated(&list)
        .map_err(|error| Error::new(error.span(), sentence))?;
    let mut names = BTreeSet::new();
    for path in &paths {
        let name = path.segments.last().map(|last| text_of(&last.ident));
        if let Some(name) = name.filter(|name| !names.insert(name.clone())) {
            let sentence =
                format!("two tools are called `{name}`: a model could not tell them apart");
            return Err(Error::new_spanned(path, sentence));
        }
    }
    Ok(paths.into_iter().collect())
}

fn guardrails(input: ParseStream<'_>, key: &Ident) -> Result<Vec<LitStr>> {
    let sentence = "guardrails are texts in brackets: write `guardrails = [\"max_tokens=2000\"]`";
    if !input.peek(Token![=]) || !input.peek2(Bracket) {
        return Err(Error::new(key.span(), sentence));
    }
    input.parse::<Token![=]>()?;
    let list;
    bracketed!(list in input);
    let texts = Punctuated::<LitStr, Token![,]>::parse_terminated(&list);
    let texts = texts.map_err(|error| Error::new(error.span(), sentence))?;
    Ok(texts.into_iter().collect())
}

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(attribute)?;
    let mut function = plain_function(item, "an agent")?;
    let output = match &function.sig.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => {
            let sentence = format!("{SHAPE}: it answers how the turn ended");
            return Err(Error::new(function.sig.fn_token.span, sentence));
        }
    };
    let input = carry_tools(&mut function, &options.tools)?;
    let name = name(&options, &function)?;
    let description = match documentation(&function.attrs) {
        Some(text) => {
            let text = bounded(text, function.sig.ident.span())?;
            quote!(#text)
        }
        None => quote!(::core::env!("CARGO_PKG_DESCRIPTION")),
    };
    let model = options
        .model
        .as_ref()
        .map_or_else(|| "default".to_owned(), LitStr::value);
    let (visibility, ident) = (&function.vis, &function.sig.ident);
    let (tools, guardrails) = (&options.tools, &options.guardrails);
    let private = quote!(::bulkhead_sdk::__private);
    let call = quote_spanned!(output=> ::core::result::Result::map_err(answer, ::core::convert::Into::into));
    let turn = Ident::new("turn", input);
    Ok(quote! {
        #function

        /// What the agent's function is to the host.
        #[allow(non_camel_case_types, dead_code, clippy::allow_attributes, reason = "named like the function")]
        #visibility enum #ident {}

        impl #ident {
            /// What the host is told of this agent.
            #[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "for the author's tests")]
            #[must_use]
            #visibility fn manifest() -> #private::Manifest {
                #private::Manifest::of(#name, #description, #model, &[#(<#tools>::TOOL),*], &[#(#guardrails),*])
            }
        }

        impl #private::Entry for #ident {
            fn manifest() -> #private::Manifest {
                #ident::manifest()
            }

            fn run(#turn: ::bulkhead_sdk::Turn) -> ::bulkhead_sdk::Result<::bulkhead_sdk::Outcome> {
                let answer = #ident(#turn);
                #call
            }
        }

        /// Two of them would be one component with two answers.
        #[cfg(target_family = "wasm")]
        const A_COMPONENT_IS_ONE_AGENT_OR_ONE_GUARDRAIL: () = ();

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, clippy::allow_attributes, reason = "the exports of a component are written by the binding generator")]
        const _: () = {
            #private::bindings::export!(#ident with_types_in #private::bindings);
        };
    })
}

/// Lets the function's turn carry the named tools, also where a native test calls the function. Answers where the
/// turn's type stands.
fn carry_tools(function: &mut ItemFn, tools: &[Path]) -> Result<Span> {
    let inputs = function.sig.inputs.len();
    let argument = match function.sig.inputs.first_mut() {
        Some(FnArg::Typed(argument)) if inputs == 1 => argument,
        _ => {
            let sentence = format!("{SHAPE}: it takes the turn and nothing else");
            return Err(match inputs {
                0 => Error::new(function.sig.ident.span(), sentence),
                _ => Error::new_spanned(&function.sig.inputs, sentence),
            });
        }
    };
    if !tools.is_empty() {
        let turn = format_ident!("__turn", span = Span::mixed_site());
        let pattern = std::mem::replace(&mut argument.pat, Box::new(syn::parse_quote!(#turn)));
        let carried: syn::Stmt = syn::parse_quote! {
            let #pattern = {
                const TOOLS: &[::bulkhead_sdk::Tool] = &[#(<#tools>::TOOL),*];
                ::bulkhead_sdk::Turn::offering(#turn, TOOLS)
            };
        };
        function.block.stmts.insert(0, carried);
    }
    Ok(argument.ty.span())
}

fn name(options: &Options, function: &ItemFn) -> Result<String> {
    let (name, span) = match &options.name {
        Some(name) => (name.value(), name.span()),
        None => (
            text_of(&function.sig.ident).replace('_', "-"),
            function.sig.ident.span(),
        ),
    };
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits {
        return Ok(name);
    }
    let sentence = format!(
        "`{name}` cannot name an agent: use 1 to 63 small letters, digits and `-`, a letter first, as in `#[agent(name = \"support\")]`"
    );
    Err(Error::new(span, sentence))
}
