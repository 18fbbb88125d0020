//! What the attributes share: their options, doc comments, functions of a plain shape, names and texts within the contract's bounds.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Ident, ItemFn, Lit, LitStr, Meta, Result, Token,
};

/// What a description may hold, by the contract.
const DESCRIPTION_BYTES: usize = 4096;

/// The name of the next option, which was not said before; `how` is said where there is none.
pub(crate) fn option(input: ParseStream<'_>, said: &mut Vec<String>, how: &str) -> Result<Ident> {
    let span = input.span();
    let key: Ident = input.parse().map_err(|_| Error::new(span, how))?;
    let name = key.to_string();
    if said.contains(&name) {
        return Err(Error::new(key.span(), format!("`{name}` is said twice")));
    }
    said.push(name);
    Ok(key)
}

/// The text of an option.
pub(crate) fn text(input: ParseStream<'_>, key: &Ident) -> Result<LitStr> {
    let sentence = format!("`{key}` is a text: write `{key} = \"…\"`");
    if !input.peek(Token![=]) {
        return Err(Error::new(key.span(), sentence));
    }
    input.parse::<Token![=]>()?;
    let span = input.span();
    input.parse().map_err(|_| Error::new(span, sentence))
}

/// The comma before the next option.
pub(crate) fn comma(input: ParseStream<'_>, how: &str) -> Result<()> {
    if input.is_empty() {
        return Ok(());
    }
    let span = input.span();
    let comma = input.parse::<Token![,]>().map(drop);
    comma.map_err(|_| Error::new(span, how))
}

/// The doc comment, its lines joined as they are read; `None` where there is none.
pub(crate) fn documentation(attributes: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attributes.iter().filter_map(doc_line).collect();
    let text = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n");
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Takes the doc comments off a function's parameters: the compiler takes none there.
pub(crate) fn strip_parameter_documentation(function: &mut ItemFn) {
    for input in &mut function.sig.inputs {
        let attributes = match input {
            FnArg::Typed(argument) => &mut argument.attrs,
            FnArg::Receiver(receiver) => &mut receiver.attrs,
        };
        attributes.retain(|attribute| !is_documentation(attribute));
    }
}

/// The text, if a description may be so long.
pub(crate) fn bounded(text: String, span: Span) -> Result<String> {
    if text.len() > DESCRIPTION_BYTES {
        let sentence = format!(
            "a description holds at most {DESCRIPTION_BYTES} bytes, and this doc comment has {}",
            text.len()
        );
        return Err(Error::new(span, sentence));
    }
    Ok(text)
}

/// The function, if it is a plain one: what an agent and a tool have in common.
pub(crate) fn plain_function(item: proc_macro2::TokenStream, what: &str) -> Result<ItemFn> {
    let span = item.span();
    let function: ItemFn = syn::parse2(item).map_err(|_| {
        Error::new(
            span,
            format!("{what} is a function: put the attribute on a `fn`"),
        )
    })?;
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        let sentence = format!("{what} is not `async`: calls of the host wait by themselves");
        return Err(Error::new(token.span, sentence));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new(token.span, format!("{what} is not `unsafe`")));
    }
    if !signature.generics.params.is_empty() {
        let sentence = format!("{what} has no generic parameters: nobody could choose them");
        return Err(Error::new(signature.generics.span(), sentence));
    }
    Ok(function)
}

/// The function's name as text, without the `r#` of a raw one.
pub(crate) fn text_of(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if is_documentation(attribute) => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn is_documentation(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}
