//! `#[guardrail]`: keeps the function callable by native tests, adds its judge under the same name in the type
//! namespace (an empty enum, so nothing can be made of it), and exports that from a component.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Result, ReturnType};

use crate::attribute::plain_function;

const SHAPE: &str = "a guardrail is `fn(subject: Subject) -> Verdict`";

pub(crate) fn expand(attribute: &TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        let sentence = "a guardrail has no options: agents name it as it is deployed, as in `component=no-secrets`";
        return Err(Error::new(attribute.span(), sentence));
    }
    let function = plain_function(item, "a guardrail")?;
    let signature = &function.sig;
    let input = match signature.inputs.first() {
        Some(FnArg::Typed(argument)) if signature.inputs.len() == 1 => argument.ty.span(),
        first => {
            let sentence = format!("{SHAPE}: it takes the subject and nothing else");
            return Err(match first {
                None => Error::new(signature.ident.span(), sentence),
                Some(_) => Error::new_spanned(&signature.inputs, sentence),
            });
        }
    };
    let output = match &signature.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => {
            let sentence = format!("{SHAPE}: it answers what is to become of the text");
            return Err(Error::new(signature.fn_token.span, sentence));
        }
    };
    let (visibility, ident) = (&function.vis, &signature.ident);
    let private = quote!(::bulkhead_sdk::__private);
    // A type that is not meant is told where it stands.
    let subject = Ident::new("subject", input);
    let verdict = quote_spanned!(output=> verdict);
    Ok(quote! {
        #function

        /// What the guardrail's function is to the host.
        #[allow(non_camel_case_types, dead_code, clippy::allow_attributes, reason = "named like the function")]
        #visibility enum #ident {}

        impl #private::Judge for #ident {
            fn check(#subject: ::bulkhead_sdk::guardrails::Subject) -> ::bulkhead_sdk::guardrails::Verdict {
                let verdict = #ident(#subject);
                #verdict
            }
        }

        /// Two of them would be one component with two verdicts.
        #[cfg(target_family = "wasm")]
        const A_COMPONENT_IS_ONE_AGENT_OR_ONE_GUARDRAIL: () = ();

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, clippy::allow_attributes, reason = "the exports of a component are written by the binding generator")]
        const _: () = {
            #private::bindings::guardrail::export!(#ident with_types_in #private::bindings::guardrail);
        };
    })
}
