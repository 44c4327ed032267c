//! `#[derive(Metadata)]`: turns a struct of parameters into its parser and its table of parameters.
//!
//! Field attributes, in `#[meta(…)]`:
//!
//! | attribute | meaning |
//! |---|---|
//! | `trigger`, `env`, `auth` | where the value may come from; their order is the order of the search |
//! | `name = "x"`, `names("x", "y")` | the key, or the key and its aliases; by default the field's name in camel case |
//! | `default = "x"` | the text used when it is absent |
//! | `optional` | may be absent; an `Option` is anyway |
//! | `one_of("a", "b")`, `exclusive("a", "b")` | allowed words; words of which only one may be given |
//! | `separator = ";"`, `range = "-"` | of lists and maps; of ranges of integers in a list |
//! | `deprecated = "why"`, `announce = "why"` | using it is an error; using it is a warning |
//! | `group` | the field is another `Metadata` struct, read as part of this one |
//!
//! `#[metadata(check)]` on the struct calls its `fn check(&mut self, reader: &mut Reader<'_>)` after all fields are read.

mod attributes;

use attributes::{Field, checks, summary_and_details};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// See the crate's documentation.
#[proc_macro_derive(Metadata, attributes(meta, metadata))]
pub fn derive_metadata(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(input, "Metadata can be derived for structs only"));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(syn::Error::new_spanned(input, "Metadata needs named fields"));
    };
    let fields = named.named.iter().map(Field::parse).collect::<syn::Result<Vec<_>>>()?;
    let name = &input.ident;
    let names = fields.iter().map(|field| &field.ident);
    let count = fields.iter().filter(|field| !field.is_group()).count();
    let parameters = fields.iter().filter(|field| !field.is_group()).map(Field::parameter);
    let (reads, collects) = members(&fields);
    let groups = fields.iter().filter(|field| field.is_group()).map(Field::kind);
    let (summary, details) = summary_and_details(&input.attrs);
    let check = checks(&input.attrs)?.then(|| quote! { value.check(reader); });
    Ok(quote! {
        const _: () = {
            static PARAMETERS: [::keda_core::metadata::Parameter; #count] = [#(#parameters),*];

            #[automatically_derived]
            impl ::keda_core::metadata::Metadata for #name {
                fn parameters() -> Vec<&'static ::keda_core::metadata::Parameter> {
                    let mut parameters = Vec::new();
                    #(#collects)*
                    parameters
                }

                fn unlisted() -> Vec<&'static ::keda_core::metadata::Parameter> {
                    #[allow(unused_mut)]
                    let mut unlisted = Vec::new();
                    #(unlisted.extend(<#groups as ::keda_core::metadata::Metadata>::unlisted());)*
                    unlisted
                }

                fn summary() -> &'static str {
                    #summary
                }

                fn details() -> &'static str {
                    #details
                }

                fn read(reader: &mut ::keda_core::metadata::Reader<'_>) -> Self {
                    #[allow(unused_mut)]
                    let mut value = #name { #(#names: #reads),* };
                    #check
                    value
                }
            }
        };
    })
}

/// For each field: the expression that reads it, and the statement that adds it to the table of parameters.
fn members(fields: &[Field]) -> (Vec<TokenStream>, Vec<TokenStream>) {
    let mut position = 0usize;
    let members = fields.iter().map(|field| {
        let kind = field.kind();
        if field.is_group() {
            return (
                quote! { <#kind as ::keda_core::metadata::Metadata>::read(reader) },
                quote! { parameters.extend(<#kind as ::keda_core::metadata::Metadata>::parameters()); },
            );
        }
        let index = position;
        position += 1;
        (quote! { reader.read::<#kind>(&PARAMETERS[#index]) }, quote! { parameters.push(&PARAMETERS[#index]); })
    });
    members.unzip()
}
