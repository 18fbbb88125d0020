//! `#[arguments]`: the derives an argument struct needs, with the paths they need where the author has one dependency.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Result};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(Error::new(attribute.span(), "`#[arguments]` takes nothing"));
    }
    let span = item.span();
    let sentence = "`#[arguments]` stands on a struct or an enum";
    let input: DeriveInput = syn::parse2(item).map_err(|_| Error::new(span, sentence))?;
    let strict = match &input.data {
        // A misspelled argument is an error the model can read, not a value that is silently left out.
        Data::Struct(_) => quote!(, deny_unknown_fields),
        Data::Enum(_) => quote!(),
        Data::Union(_) => return Err(Error::new(span, sentence)),
    };
    Ok(quote! {
        #[derive(
            ::bulkhead_sdk::__private::serde::Deserialize,
            ::bulkhead_sdk::__private::serde::Serialize,
            ::bulkhead_sdk::__private::schemars::JsonSchema,
        )]
        #[serde(crate = "::bulkhead_sdk::__private::serde" #strict)]
        #[schemars(crate = "::bulkhead_sdk::__private::schemars")]
        #input
    })
}
