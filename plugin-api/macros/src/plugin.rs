//! `plugin!`: the list of what a library offers becomes the module that it exports.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Error, Ident, LitStr, Path, Result, Token,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

/// The symbol that loaders look for; a test of plugin-api compares it with `abi_stable`'s own idea.
const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

#[derive(Default)]
struct Description {
    name: Option<LitStr>,
    version: Option<LitStr>,
    nodes: Option<Vec<Path>>,
    hooks: Option<Vec<Path>>,
    datasets: Option<Vec<Path>>,
}

impl Parse for Description {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut description = Description::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![:]>()?;
            let twice = match key.to_string().as_str() {
                "name" => description.name.replace(input.parse()?).is_some(),
                "version" => description.version.replace(input.parse()?).is_some(),
                "nodes" => description.nodes.replace(paths(input)?).is_some(),
                "hooks" => description.hooks.replace(paths(input)?).is_some(),
                "datasets" => description.datasets.replace(paths(input)?).is_some(),
                _ => {
                    let message = format!("unknown key `{key}`; there are: nodes, hooks, datasets, name, version");
                    return Err(Error::new(key.span(), message));
                }
            };
            if twice {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(description)
    }
}

fn paths(input: ParseStream<'_>) -> Result<Vec<Path>> {
    let list;
    syn::bracketed!(list in input);
    Ok(list.parse_terminated(Path::parse, Token![,])?.into_iter().collect())
}

pub fn expand(input: TokenStream) -> Result<TokenStream> {
    let Description { name, version, nodes, hooks, datasets } = syn::parse2(input)?;
    let (nodes, hooks, datasets) = (nodes.unwrap_or_default(), hooks.unwrap_or_default(), datasets.unwrap_or_default());
    if nodes.is_empty() && hooks.is_empty() && datasets.is_empty() {
        return Err(Error::new(Span::call_site(), "the plugin offers nothing: list its nodes, hooks or datasets"));
    }
    distinct("nodes", &nodes)?;
    distinct("hooks", &hooks)?;
    distinct("dataset types", &datasets)?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let name = name.map_or_else(|| quote! { ::core::env!("CARGO_PKG_NAME") }, |name| quote! { #name });
    let version = version.map_or_else(|| quote! { ::core::env!("CARGO_PKG_VERSION") }, |version| quote! { #version });

    let dataset_slots: Vec<Ident> = (0..datasets.len()).map(|index| format_ident!("DATASET_{index}")).collect();
    let hook_slots: Vec<Ident> = (0..hooks.len()).map(|index| format_ident!("HOOK_{index}")).collect();

    Ok(quote! {
        /// The plugin of this library.
        #[doc(hidden)]
        pub struct DagdPlugin;

        impl ::plugin_api::export::Plugin for DagdPlugin {
            const NAME: &'static str = #name;
            const VERSION: &'static str = #version;
            const NODES: &'static [::plugin_api::export::NodeEntry] =
                &[#(::plugin_api::export::NodeEntry::of::<#nodes>()),*];

            fn datasets() -> &'static [&'static dyn ::plugin_api::export::DatasetEntry] {
                #(static #dataset_slots: ::plugin_api::export::DatasetSlot<#datasets> =
                    ::plugin_api::export::DatasetSlot::new();)*
                static ALL: &[&dyn ::plugin_api::export::DatasetEntry] = &[#(&#dataset_slots),*];
                ALL
            }

            fn hooks() -> &'static [&'static dyn ::plugin_api::export::HookEntry] {
                #(static #hook_slots: ::plugin_api::hook::HookSlot<#hooks> = ::plugin_api::hook::HookSlot::new();)*
                static ALL: &[&dyn ::plugin_api::export::HookEntry] = &[#(&#hook_slots),*];
                ALL
            }
        }

        /// What a loader looks for. Not in a plugin's own unit tests, which may link another plugin.
        #[cfg(not(test))]
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "a symbol of a fixed name; only plugin! of the same library could clash with it")]
        #[unsafe(export_name = #ROOT_SYMBOL)]
        pub static DAGD_PLUGIN_HEADER: ::plugin_api::export::Header = ::plugin_api::export::header::<DagdPlugin>();
    })
}

fn distinct(what: &str, paths: &[Path]) -> Result<()> {
    let last = |path: &Path| path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
    for (index, path) in paths.iter().enumerate() {
        if paths[..index].iter().any(|other| last(other) == last(path)) {
            return Err(Error::new(path.span(), format!("two {what} are called `{}`", last(path))));
        }
    }
    Ok(())
}

fn check_name(name: &LitStr) -> Result<()> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if name.value().is_empty() || !name.value().chars().all(good) {
        return Err(Error::new(name.span(), "a plugin's name is made of letters, digits, `_`, `-` and `.`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &str) {
        let error = expand(input.parse().expect("tokens")).expect_err("a mistake");
        assert!(error.to_string().contains(expected), "expected `{expected}`, told `{error}`");
    }

    #[test]
    fn mistakes_are_told() {
        check("", "the plugin offers nothing");
        check("nodes: []", "the plugin offers nothing");
        check("node: [train]", "unknown key `node`; there are: nodes, hooks, datasets, name, version");
        check("nodes: [a::train, b::train]", "two nodes are called `train`");
        check("hooks: [Timing, x::Timing]", "two hooks are called `Timing`");
        check("nodes: [a], nodes: [b]", "`nodes` is given twice");
        check("name: \"a::b\", nodes: [a]", "a plugin's name is made of letters");
        check("nodes: [\"train\"]", "expected identifier");
    }

    #[test]
    fn any_part_may_be_left_out() {
        for input in ["nodes: [a, b::c,],", "hooks: [T]", "datasets: [x::Csv], name: \"n\", version: \"1\""] {
            expand(input.parse().expect("tokens")).expect(input);
        }
    }
}
