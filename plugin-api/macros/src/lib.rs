//! The attributes and macros of `plugin-api`. Authors get them from its prelude, where they are documented by example.
#![forbid(unsafe_code)]

mod docs;
mod hook;
mod node;
mod plugin;
mod returned;

use proc_macro::TokenStream;

/// Makes a function a node of a plugin: ports, their types and docs are derived from its signature.
///
/// ```text
/// /// Fits arrival delay of one origin airport. (The node's doc.)
/// #[node(outputs = ["model"])]
/// fn train(
///     /// The cleaned flights. (The port's doc.)
///     table: Table,
///     options: Params<ModelOptions>,
///     ctx: &Context,
/// ) -> Result<Json<Model>> { … }
/// ```
///
/// Each parameter is an input port of its name; `&Context` is not a port. `outputs` names what is returned: one
/// value, or a tuple of as many. The function stays an ordinary function. Beside it stands a hidden type of the same name, by
/// which `plugin!` and `testing::node` find the node under the function's own path.
#[proc_macro_attribute]
pub fn node(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item: proc_macro2::TokenStream = item.into();
    node::expand(attribute.into(), item.clone()).unwrap_or_else(|error| with_item(error, item)).into()
}

/// Fills in what a hook says about itself: on `impl Hook for …`, its name (the type's), its doc (the doc comment) and
/// its events (the methods that are there).
#[proc_macro_attribute]
pub fn hook(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item: proc_macro2::TokenStream = item.into();
    hook::expand(attribute.into(), item.clone()).unwrap_or_else(|error| with_item(error, item)).into()
}

/// Makes a library a plugin: `plugin! { nodes: [clean, module::train], hooks: [Timing], datasets: [Csv] }`, once, at the
/// root of a crate of the type `cdylib`.
///
/// Name and version are those of the package unless given: `name: "flights", version: "1.2.0"`.
#[proc_macro]
pub fn plugin(input: TokenStream) -> TokenStream {
    plugin::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The error beside the item as it was, so that one mistake does not make every use of the item a further error.
fn with_item(error: syn::Error, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut tokens = error.into_compile_error();
    tokens.extend(node::without_parameter_docs(item));
    tokens
}
