//! `#[hook]`: what a hook says about itself, from its `impl`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Ident, ImplItem, ItemImpl, Result, Type, spanned::Spanned};

use crate::docs;

/// Method and variant of every event, as in `plugin_api::hook`.
const EVENTS: &[(&str, &str)] = &[
    ("after_generation_loaded", "AfterGenerationLoaded"),
    ("after_catalog_created", "AfterCatalogCreated"),
    ("before_pipeline_run", "BeforePipelineRun"),
    ("after_pipeline_run", "AfterPipelineRun"),
    ("on_pipeline_error", "OnPipelineError"),
    ("before_node_run", "BeforeNodeRun"),
    ("after_node_run", "AfterNodeRun"),
    ("on_node_error", "OnNodeError"),
    ("before_dataset_loaded", "BeforeDatasetLoaded"),
    ("after_dataset_loaded", "AfterDatasetLoaded"),
    ("before_dataset_saved", "BeforeDatasetSaved"),
    ("after_dataset_saved", "AfterDatasetSaved"),
    ("on_dataset_error", "OnDatasetError"),
];

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(Error::new(attribute.span(), "`#[hook]` takes no arguments"));
    }
    let mut item: ItemImpl =
        syn::parse2(item).map_err(|error| Error::new(error.span(), "`#[hook]` belongs on `impl Hook for YourType`"))?;
    let is_hook =
        item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last()).is_some_and(|last| last.ident == "Hook");
    if !is_hook {
        return Err(Error::new(item.self_ty.span(), "`#[hook]` belongs on `impl Hook for YourType`"));
    }
    let mut constants = Vec::new();
    if !has_constant(&item, "NAME") {
        let name = type_name(&item.self_ty)?.to_string();
        constants.push(quote! { const NAME: &'static str = #name; });
    }
    let doc = docs::lines(&item.attrs).iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n").trim().to_owned();
    if !has_constant(&item, "DOC") && !doc.is_empty() {
        constants.push(quote! { const DOC: &'static str = #doc; });
    }
    if !has_constant(&item, "EVENTS") {
        let events = events(&item)?;
        constants.push(quote! {
            const EVENTS: &'static [::plugin_api::hook::EventName] = &[#(::plugin_api::hook::EventName::#events),*];
        });
    }
    for constant in constants {
        item.items.push(ImplItem::Verbatim(constant));
    }
    Ok(quote! { #item })
}

fn events(item: &ItemImpl) -> Result<Vec<Ident>> {
    let variants: Vec<Ident> = item
        .items
        .iter()
        .filter_map(|item| match item {
            ImplItem::Fn(method) => EVENTS.iter().find(|(name, _)| method.sig.ident == name),
            _ => None,
        })
        .map(|(_, variant)| Ident::new(variant, Span::call_site()))
        .collect();
    if variants.is_empty() {
        let names: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        let message = format!("the hook listens to nothing: give it a method for an event ({})", names.join(", "));
        return Err(Error::new(item.self_ty.span(), message));
    }
    Ok(variants)
}

fn has_constant(item: &ItemImpl, name: &str) -> bool {
    item.items.iter().any(|item| matches!(item, ImplItem::Const(constant) if constant.ident == name))
}

fn type_name(of: &Type) -> Result<Ident> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.clone()),
        _ => None,
    }
    .ok_or_else(|| Error::new(of.span(), "a hook is a type of your own, with a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: &str) -> std::result::Result<String, String> {
        match expand(TokenStream::new(), item.parse().expect("tokens")) {
            Ok(tokens) => Ok(tokens.to_string().replace(' ', "")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn name_doc_and_events_come_from_the_impl() {
        let text =
            expanded("/// Times.\n impl Hook for module::Timing { fn new() {} fn after_node_run() {} fn helper() {} }")
                .expect("good");
        assert!(text.contains("constNAME:&'staticstr=\"Timing\";"), "{text}");
        assert!(text.contains("constDOC:&'staticstr=\"Times.\";"), "{text}");
        assert!(text.contains("&[::plugin_api::hook::EventName::AfterNodeRun];"), "{text}");
    }

    #[test]
    fn what_the_author_says_stays() {
        let text =
            expanded("impl Hook for T { const NAME: &'static str = \"x\"; fn on_node_error() {} }").expect("good");
        assert_eq!(text.matches("constNAME").count(), 1);
        assert!(!text.contains("constDOC"));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(expanded("impl Hook for T { fn new() {} }").expect_err("deaf").contains("listens to nothing"));
        assert!(expanded("impl T {}").expect_err("no hook").contains("`impl Hook for YourType`"));
        assert!(expanded("struct T;").expect_err("no impl").contains("`impl Hook for YourType`"));
    }
}
