//! `#[tool]`: keeps the function as it is and adds `function::TOOL`, in an empty enum of the same name in the type
//! namespace. Arguments are read one by one, so a mistake of the model is told by the argument's name.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, LitStr, Pat, PatType, Result, ReturnType, Type};

use crate::attribute::{
    bounded, comma, documentation, option, plain_function, strip_parameter_documentation, text,
    text_of,
};

const HOW: &str = "what is said of a tool has a name, as in `effect = \"mutate\"`";

/// What `#[tool(…)]` says.
struct Options {
    effect: Ident,
}

/// One parameter that is one argument.
struct Parameter {
    name: String,
    description: String,
    of: Type,
}

/// How a function takes its arguments.
enum Parameters {
    /// Each by itself.
    Named(Vec<Parameter>),
    /// As `Args<T>`.
    Whole(Type),
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut effect = format_ident!("Read");
        let mut said = Vec::new();
        while !input.is_empty() {
            let key = option(input, &mut said, HOW)?;
            if key != "effect" {
                let sentence =
                    format!("a tool has no `{key}`: what can be said is `effect = \"…\"`");
                return Err(Error::new(key.span(), sentence));
            }
            effect = variant(&text(input, &key)?)?;
            comma(input, HOW)?;
        }
        Ok(Self { effect })
    }
}

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Options { effect } = syn::parse2(attribute)?;
    let mut function = plain_function(item, "a tool")?;
    let name = name(&function)?;
    let span = function.sig.ident.span();
    let description = documentation(&function.attrs).ok_or_else(|| {
        Error::new(
            span,
            "a tool needs a doc comment: the model reads it to decide when to call",
        )
    })?;
    let description = bounded(description, span)?;
    let sentence = "a tool answers a `Result`: its error is what the model reads when a call fails";
    let output = match &function.sig.output {
        ReturnType::Type(_, output) if is_named(output, "Result") => output.span(),
        ReturnType::Type(_, output) => return Err(Error::new_spanned(output, sentence)),
        ReturnType::Default => return Err(Error::new(span, sentence)),
    };
    let (schema, call) = match parameters(&function)? {
        Parameters::Named(parameters) => named(&function.sig.ident, &parameters, output),
        Parameters::Whole(of) => whole(&function.sig.ident, &of, output),
    };
    strip_parameter_documentation(&mut function);
    let (visibility, ident) = (&function.vis, &function.sig.ident);
    Ok(quote! {
        #function

        /// The function as a tool.
        #[allow(non_camel_case_types, dead_code, clippy::allow_attributes, reason = "named like the function")]
        #visibility enum #ident {}

        #[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "as visible as the function")]
        impl #ident {
            /// What a model is told of the tool, and the function behind it.
            #visibility const TOOL: ::bulkhead_sdk::Tool = ::bulkhead_sdk::Tool::new(
                #name,
                #description,
                ::bulkhead_sdk::tools::Effect::#effect,
                Self::__input_schema,
                Self::__call,
            );

            fn __input_schema() -> ::std::string::String {
                #schema
            }

            fn __call(
                arguments: &str,
            ) -> ::core::result::Result<::std::string::String, ::std::string::String> {
                #call
            }
        }
    })
}

/// The schema and the call of a function that takes each argument by itself.
fn named(
    function: &Ident,
    parameters: &[Parameter],
    output: proc_macro2::Span,
) -> (TokenStream, TokenStream) {
    let private = quote!(::bulkhead_sdk::__private);
    let properties = parameters.iter().map(|Parameter { name, description, of }| {
        let method = if is_named(of, "Option") { quote!(optional) } else { quote!(required) };
        quote_spanned!(of.span()=> let properties = properties.#method::<#of>(#name, #description);)
    });
    let taken = parameters
        .iter()
        .enumerate()
        .map(|(index, Parameter { name, of, .. })| {
            let variable = format_ident!("argument_{index}");
            let method = if is_named(of, "Option") {
                quote!(take_optional)
            } else {
                quote!(take)
            };
            quote_spanned!(of.span()=> let #variable = object.#method::<#of>(#name)?;)
        });
    let passed = (0..parameters.len()).map(|index| format_ident!("argument_{index}"));
    let mutability = (!parameters.is_empty()).then(|| quote!(mut));
    let answer = quote_spanned!(output=> #private::answer(answered));
    let schema = quote! {
        let properties = <#private::Properties as ::core::default::Default>::default();
        #(#properties)*
        properties.schema()
    };
    let call = quote! {
        let #mutability object = #private::Object::parse(arguments)?;
        #(#taken)*
        object.finish()?;
        let answered = #function(#(#passed),*);
        #answer
    };
    (schema, call)
}

/// The schema and the call of a function that takes its arguments as one struct.
fn whole(function: &Ident, of: &Type, output: proc_macro2::Span) -> (TokenStream, TokenStream) {
    let private = quote!(::bulkhead_sdk::__private);
    let answer = quote_spanned!(output=> #private::answer(answered));
    let read = quote_spanned!(of.span()=> #private::whole::<#of>(arguments)?);
    let call = quote! {
        let answered = #function(#read);
        #answer
    };
    (
        quote_spanned!(of.span()=> #private::schema_of::<#of>()),
        call,
    )
}

/// What the function's parameters are to a model.
fn parameters(function: &ItemFn) -> Result<Parameters> {
    let count = function.sig.inputs.len();
    let mut named = Vec::with_capacity(count);
    for input in &function.sig.inputs {
        let argument = match input {
            FnArg::Typed(argument) => argument,
            FnArg::Receiver(receiver) => {
                let sentence = "a tool is a free function: it has no `self`";
                return Err(Error::new_spanned(receiver, sentence));
            }
        };
        if let Some(of) = args(&argument.ty) {
            if count == 1 {
                return Ok(Parameters::Whole(of));
            }
            let sentence = "`Args` are all arguments of a tool: take nothing beside them";
            return Err(Error::new_spanned(argument, sentence));
        }
        named.push(parameter(argument)?);
    }
    Ok(Parameters::Named(named))
}

fn parameter(argument: &PatType) -> Result<Parameter> {
    let description = documentation(&argument.attrs).unwrap_or_default();
    if let Type::Reference(reference) = &*argument.ty {
        let sentence =
            "an argument of a tool is owned: take `String` for `&str`, `Vec<T>` for `&[T]`";
        return Err(Error::new_spanned(reference, sentence));
    }
    match &*argument.pat {
        Pat::Ident(pattern) => Ok(Parameter {
            name: text_of(&pattern.ident),
            description,
            of: (*argument.ty).clone(),
        }),
        other => {
            let sentence = "an argument of a tool needs a name: the model is told it";
            Err(Error::new_spanned(other, sentence))
        }
    }
}

fn name(function: &ItemFn) -> Result<String> {
    let name = text_of(&function.sig.ident);
    if name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(name);
    }
    let sentence = "a tool is called like its function: use 1 to 64 ASCII letters, digits and `_`";
    Err(Error::new(function.sig.ident.span(), sentence))
}

fn variant(effect: &LitStr) -> Result<Ident> {
    match effect.value().as_str() {
        "read" => Ok(format_ident!("Read")),
        "mutate" => Ok(format_ident!("Mutate")),
        "destructive" => Ok(format_ident!("Destructive")),
        other => {
            let sentence =
                format!("`{other}` is no effect: a tool can `read`, `mutate` or be `destructive`");
            Err(Error::new(effect.span(), sentence))
        }
    }
}

/// The `T` of `Args<T>`.
fn args(of: &Type) -> Option<Type> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last()?;
    match &last.arguments {
        syn::PathArguments::AngleBracketed(list) if last.ident == "Args" => {
            match list.args.first()? {
                syn::GenericArgument::Type(of) => Some(of.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_named(of: &Type, name: &str) -> bool {
    match of {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == name),
        _ => false,
    }
}
