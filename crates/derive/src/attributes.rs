//! Reads the attributes of one field and writes its parameter.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Token, Type, punctuated::Punctuated};

/// One field of a `Metadata` struct.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    kind: Type,
    group: bool,
    names: Vec<String>,
    sources: Vec<Ident>,
    optional: bool,
    default: Option<LitStr>,
    one_of: Vec<LitStr>,
    exclusive: Vec<LitStr>,
    separator: Option<LitStr>,
    range: Option<LitStr>,
    deprecated: Option<LitStr>,
    announce: Option<LitStr>,
    doc: String,
}

impl Field {
    pub(crate) fn parse(field: &syn::Field) -> syn::Result<Self> {
        let Some(ident) = field.ident.clone() else {
            return Err(syn::Error::new_spanned(field, "Metadata needs named fields"));
        };
        let mut parsed = Field {
            names: vec![camel_case(&ident.to_string())],
            ident,
            kind: field.ty.clone(),
            group: false,
            sources: Vec::new(),
            optional: false,
            default: None,
            one_of: Vec::new(),
            exclusive: Vec::new(),
            separator: None,
            range: None,
            deprecated: None,
            announce: None,
            doc: documentation(&field.attrs),
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("meta")) {
            for meta in attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)? {
                parsed.apply(&meta)?;
            }
        }
        if parsed.sources.is_empty() && !parsed.group {
            return Err(syn::Error::new_spanned(field, "say where the value comes from: #[meta(trigger, env, auth)]"));
        }
        if parsed.doc.is_empty() && !parsed.group {
            return Err(syn::Error::new_spanned(field, "a parameter needs a doc comment: it is its documentation"));
        }
        Ok(parsed)
    }

    fn apply(&mut self, meta: &Meta) -> syn::Result<()> {
        let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
        match (name.as_str(), meta) {
            ("trigger", Meta::Path(_)) => self.sources.push(Ident::new("Trigger", self.ident.span())),
            ("env", Meta::Path(_)) => self.sources.push(Ident::new("Environment", self.ident.span())),
            ("auth", Meta::Path(_)) => self.sources.push(Ident::new("Authentication", self.ident.span())),
            ("group", Meta::Path(_)) => self.group = true,
            ("optional", Meta::Path(_)) => self.optional = true,
            ("name", _) => self.names = vec![text(meta)?.value()],
            ("names", _) => self.names = texts(meta)?.iter().map(LitStr::value).collect(),
            ("default", _) => self.default = Some(text(meta)?),
            ("one_of", _) => self.one_of = texts(meta)?,
            ("exclusive", _) => self.exclusive = texts(meta)?,
            ("separator", _) => self.separator = Some(text(meta)?),
            ("range", _) => self.range = Some(text(meta)?),
            ("deprecated", _) => self.deprecated = Some(text(meta)?),
            ("announce", _) => self.announce = Some(text(meta)?),
            _ => return Err(syn::Error::new_spanned(meta, "unknown attribute of a parameter")),
        }
        Ok(())
    }

    /// The type of the field.
    pub(crate) fn kind(&self) -> &Type {
        &self.kind
    }

    /// Whether the field is another `Metadata` struct.
    pub(crate) fn is_group(&self) -> bool {
        self.group
    }

    /// The field's row in the table of parameters.
    pub(crate) fn parameter(&self) -> TokenStream {
        let Field { kind, names, sources, optional, one_of, exclusive, doc, .. } = self;
        let [default, separator, range, deprecated, announce] =
            [&self.default, &self.separator, &self.range, &self.deprecated, &self.announce].map(option);
        quote! {
            ::keda_core::metadata::Parameter {
                names: &[#(#names),*],
                sources: &[#(::keda_core::metadata::Source::#sources),*],
                kind: <#kind as ::keda_core::metadata::Value>::KIND,
                optional: #optional || <#kind as ::keda_core::metadata::Value>::OPTIONAL,
                default: #default,
                one_of: &[#(#one_of),*],
                exclusive: &[#(#exclusive),*],
                separator: #separator,
                range: #range,
                deprecated: #deprecated,
                announce: #announce,
                doc: #doc,
            }
        }
    }
}

/// Whether the struct has `#[metadata(check)]`.
pub(crate) fn checks(attributes: &[Attribute]) -> syn::Result<bool> {
    let mut checks = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("metadata")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("check") {
                return Err(meta.error("expected `check`"));
            }
            checks = true;
            Ok(())
        })?;
    }
    Ok(checks)
}

fn option(literal: &Option<LitStr>) -> TokenStream {
    match literal {
        Some(literal) => quote! { Some(#literal) },
        None => quote! { None },
    }
}

fn text(meta: &Meta) -> syn::Result<LitStr> {
    match &meta.require_name_value()?.value {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Ok(literal.clone()),
        other => Err(syn::Error::new_spanned(other, "expected a string")),
    }
}

fn texts(meta: &Meta) -> syn::Result<Vec<LitStr>> {
    let list = meta.require_list()?;
    Ok(list.parse_args_with(Punctuated::<LitStr, Token![,]>::parse_terminated)?.into_iter().collect())
}

/// The doc comment, as one line.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = doc_lines(attributes).map(|line| line.trim().to_string()).collect();
    lines.join(" ").trim().to_string()
}

/// The doc comment, its first paragraph apart as one line; of the others the lines are kept.
pub(crate) fn summary_and_details(attributes: &[Attribute]) -> (String, String) {
    let lines: Vec<String> = doc_lines(attributes).collect();
    let length = lines.iter().position(|line| line.trim().is_empty()).unwrap_or(lines.len());
    let (first, rest) = lines.split_at(length);
    let summary: Vec<&str> = first.iter().map(|line| line.trim()).collect();
    let details: Vec<&str> = rest.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    (summary.join(" "), details.join("\n").trim().to_string())
}

fn doc_lines(attributes: &[Attribute]) -> impl Iterator<Item = String> + '_ {
    attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) = &pair.value else { return None };
        Some(literal.value())
    })
}

fn camel_case(snake: &str) -> String {
    let mut camel = String::with_capacity(snake.len());
    let mut upper = false;
    for character in snake.trim_start_matches("r#").chars() {
        if character == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            camel.extend(character.to_uppercase());
        } else {
            camel.push(character);
        }
    }
    camel
}
