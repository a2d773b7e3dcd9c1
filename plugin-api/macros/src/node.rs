//! `#[node]`: a function becomes a node.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, Ident, ItemFn, LitStr, Pat, PatType, Result, ReturnType, Token, Type,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::{docs, returned};

/// `outputs = ["model"]`.
struct Arguments {
    outputs: Vec<LitStr>,
    span: Span,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let missing =
            "name the outputs: `#[node(outputs = [\"model\"])]`, or `#[node(outputs = [])]` for a node without";
        if input.is_empty() {
            return Err(Error::new(Span::call_site(), missing));
        }
        let key: Ident = input.parse()?;
        if key != "outputs" {
            return Err(Error::new(key.span(), format!("unknown argument `{key}`; {missing}")));
        }
        input.parse::<Token![=]>()?;
        let list;
        syn::bracketed!(list in input);
        let outputs = list.parse_terminated(|name: ParseStream<'_>| name.parse::<LitStr>(), Token![,])?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        Ok(Arguments { outputs: outputs.into_iter().collect(), span: key.span() })
    }
}

/// A parameter: a port, or the context.
enum Parameter {
    Port { name: String, of: Box<Type>, doc: Vec<String> },
    Context,
}

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), format!("`#[node]` belongs on a function: {error}")))?;
    let arguments: Arguments = syn::parse2(attribute)?;
    let mut problems = Problems::default();
    check_signature(&function, &mut problems);
    check_names(&arguments.outputs, &mut problems);
    check_count(&arguments, &function.sig.output, &mut problems);
    let mut parameters = Vec::new();
    for input in &function.sig.inputs {
        match parameter(input) {
            Ok(parameter) => parameters.push(parameter),
            Err(problem) => problems.add(problem),
        }
    }
    problems.into_result()?;
    strip_parameter_docs(&mut function);
    let node = implementation(&function, &arguments, &parameters);
    Ok(quote! { #function #node })
}

/// The item without what only this macro understands, for when it failed.
pub fn without_parameter_docs(item: TokenStream) -> TokenStream {
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(mut function) => {
            strip_parameter_docs(&mut function);
            quote! { #function }
        }
        Err(_) => item,
    }
}

fn strip_parameter_docs(function: &mut ItemFn) {
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(typed) = input {
            typed.attrs.retain(|attribute| !docs::is_doc(attribute));
        }
    }
}

/// All that is wrong, told together.
#[derive(Default)]
struct Problems {
    first: Option<Error>,
}

impl Problems {
    fn add(&mut self, problem: Error) {
        match &mut self.first {
            Some(first) => first.combine(problem),
            None => self.first = Some(problem),
        }
    }

    fn at(&mut self, spanned: &impl Spanned, message: &str) {
        self.add(Error::new(spanned.span(), message));
    }

    fn into_result(self) -> Result<()> {
        self.first.map_or(Ok(()), Err)
    }
}

fn check_signature(function: &ItemFn, problems: &mut Problems) {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        problems.at(asyncness, "a node cannot be async: it has a process to itself, so block, or use threads");
    }
    if let Some(unsafety) = &signature.unsafety {
        problems.at(unsafety, "a node cannot be an unsafe function: its caller has no way to keep a contract");
    }
    if let Some(abi) = &signature.abi {
        problems.at(abi, "a node is an ordinary Rust function; `plugin!` writes what is exported");
    }
    if !signature.generics.params.is_empty() {
        problems.at(
            &signature.generics,
            "a node cannot be generic: the types of its ports must be known when the plugin is loaded",
        );
    }
    if let Some(variadic) = &signature.variadic {
        problems.at(variadic, "a node has a fixed number of inputs");
    }
}

fn check_names(outputs: &[LitStr], problems: &mut Problems) {
    for (index, output) in outputs.iter().enumerate() {
        let name = output.value();
        let good = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if name.is_empty() || !name.chars().all(good) {
            problems.at(output, "the name of an output is made of letters, digits, `_`, `-` and `.`");
        }
        if outputs[..index].iter().any(|other| other.value() == name) {
            problems.at(output, &format!("two outputs are called `{name}`"));
        }
    }
}

fn check_count(arguments: &Arguments, output: &ReturnType, problems: &mut Problems) {
    let shown = returned::outputs(output);
    // A single type may be an alias of anything; the compiler counts it (see `implementation`).
    let certain = shown.len() != 1 || matches!(output, ReturnType::Default);
    let (named, given) = (arguments.outputs.len(), shown.len());
    if certain && named != given {
        let message = format!("`outputs` names {named}, the function returns {given}: name each, in order");
        problems.add(Error::new(arguments.span, message));
    }
    if given > 8 {
        problems.at(output, "a node has at most 8 outputs; put what belongs together into one table or `Json<T>`");
    }
}

fn parameter(input: &FnArg) -> Result<Parameter> {
    let typed = match input {
        FnArg::Receiver(receiver) => {
            return Err(Error::new(
                receiver.span(),
                "a node is a free function: it has no `self`; what it needs are its inputs",
            ));
        }
        FnArg::Typed(typed) => typed,
    };
    if is_context(&typed.ty) {
        return match &*typed.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Ok(Parameter::Context),
            _ => Err(Error::new(typed.ty.span(), "take the context by shared reference: `ctx: &Context`")),
        };
    }
    let name = port_name(typed)?;
    match &*typed.ty {
        Type::Reference(reference) => {
            let instead = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => "`Text` or `String`".to_owned(),
                Type::Slice(_) => "`Bytes` or `Array<T>`".to_owned(),
                other => format!("`{}`", docs::type_text(other)),
            };
            let message =
                format!("an input is taken by value (it only refers to the block, so that is cheap): write {instead}");
            Err(Error::new(typed.ty.span(), message))
        }
        Type::ImplTrait(of) => {
            Err(Error::new(of.span(), "the type of an input must be named: it decides the port's kind"))
        }
        of => Ok(Parameter::Port { name, of: Box::new(of.clone()), doc: docs::lines(&typed.attrs) }),
    }
}

fn port_name(typed: &PatType) -> Result<String> {
    match &*typed.pat {
        // `_table`: the function ignores it, the port is still called `table`.
        Pat::Ident(pattern) if pattern.subpat.is_none() => {
            let name = pattern.ident.to_string();
            let name = name.strip_prefix("r#").unwrap_or(&name);
            Ok(name.trim_start_matches('_').to_owned())
        }
        other => Err(Error::new(other.span(), "an input needs a name: it is the name of the port")),
    }
}

fn is_context(of: &Type) -> bool {
    match of {
        Type::Reference(reference) => is_context(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Context"),
        _ => false,
    }
}

fn implementation(function: &ItemFn, arguments: &Arguments, parameters: &[Parameter]) -> TokenStream {
    let ItemFn { vis, sig, attrs, .. } = function;
    let name = &sig.ident;
    let line = line_of(name.span());
    let outputs = &arguments.outputs;
    let node_name = name.to_string();
    let node_name = node_name.strip_prefix("r#").unwrap_or(&node_name);
    let doc = docs::lines(attrs);
    let conditions: Vec<_> = attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let output_types: Vec<String> = returned::outputs(&sig.output).iter().map(docs::type_text).collect();

    let (mut ports, mut takes, mut values, mut types) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for parameter in parameters {
        let value = format_ident!("parameter_{}", values.len());
        match parameter {
            Parameter::Context => {
                takes.push(quote! { let #value = context; });
                types.push(quote! { &::plugin_api::Context });
            }
            Parameter::Port { name, of, doc } => {
                let (index, text) = (ports.len() as u32, docs::type_text(of));
                ports.push(quote_spanned! { of.span() =>
                    ::plugin_api::node::generated::input::<#of>(#name, #text, &[#(#doc),*], {
                        #[allow(unused_imports, reason = "a type with a schema answers by itself")]
                        use ::plugin_api::schema::Unknown as _;
                        ::plugin_api::schema::Asked::<#of>::new().schema()
                    })
                });
                takes.push(quote_spanned! { of.span() =>
                    let #value = ::plugin_api::node::generated::take::<#of>(context, #index, #name)?;
                });
                types.push(quote! { #of });
            }
        }
        values.push(value);
    }
    let count = count_check(&sig.output, outputs.len());
    let returned_span = match &sig.output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, of) => of.span(),
    };
    let write =
        quote_spanned! { returned_span => ::plugin_api::node::Outputs::write(returned, context, Self::OUTPUTS) };
    let describe = quote_spanned! { returned_span => ::plugin_api::node::generated::outputs };

    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, reason = "stands beside the function of the same name, in the types' namespace")]
        #(#conditions)*
        #vis struct #name {}

        #(#conditions)*
        const _: () = {
            #count

            #[automatically_derived]
            impl ::plugin_api::node::Node for #name {
                const NAME: &'static str = #node_name;
                const OUTPUTS: &'static [&'static str] = &[#(#outputs),*];

                fn manifest() -> ::plugin_api::manifest::NodeManifest {
                    ::plugin_api::manifest::NodeManifest {
                        name: ::std::string::String::from(#node_name),
                        doc: ::plugin_api::node::generated::doc(&[#(#doc),*]),
                        file: ::std::string::String::from(::core::file!()),
                        line: #line,
                        inputs: ::std::vec![#(#ports),*],
                        outputs: #describe(
                            |(#(#values,)*): (#(#types,)*)| #name(#(#values),*),
                            &[#(#outputs),*],
                            &[#(#output_types),*],
                        ),
                    }
                }

                #[allow(unused_variables, clippy::let_unit_value, reason = "a node may take and return nothing")]
                fn call(context: &::plugin_api::Context) -> ::plugin_api::Result<()> {
                    #(#takes)*
                    let returned = #name(#(#values),*);
                    #write
                }
            }
        };
    }
}

/// The line of the function's name. (`line!()` would give that of the attribute or of its doc comment.)
fn line_of(span: Span) -> u32 {
    if !proc_macro::is_available() {
        return 0; // in a unit test of this crate
    }
    u32::try_from(span.unwrap().line()).unwrap_or(0)
}

/// Lets the compiler count the outputs of a type that it knows better than this macro (an alias, say).
fn count_check(output: &ReturnType, named: usize) -> TokenStream {
    let ReturnType::Type(_, of) = output else { return TokenStream::new() };
    if docs::type_text(of).contains("impl ") {
        return TokenStream::new(); // cannot be named outside of the signature
    }
    quote_spanned! { of.span() =>
        const _: () = ::core::assert!(
            <#of as ::plugin_api::node::Outputs>::KINDS.len() == #named,
            "`outputs` of `#[node]` names more or fewer than the function returns"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the author is told about `#[node(attribute)] function`; all messages, in order.
    fn told(attribute: &str, function: &str) -> Vec<String> {
        let attribute = attribute.parse().expect("tokens");
        let function = function.parse().expect("tokens");
        match expand(attribute, function) {
            Ok(_) => Vec::new(),
            Err(error) => error.into_iter().map(|problem| problem.to_string()).collect(),
        }
    }

    #[track_caller]
    fn check(attribute: &str, function: &str, expected: &str) {
        let told = told(attribute, function);
        assert!(told.len() == 1 && told[0].contains(expected), "expected `{expected}`, told {told:?}");
    }

    #[test]
    fn good_nodes_are_accepted() {
        for (attribute, function) in [
            (
                "outputs = [\"model\"]",
                "fn train(table: Table, options: Params<Options>, ctx: &Context) -> Result<Json<Model>> {}",
            ),
            (
                "outputs = [\"a\", \"b\",],",
                "pub(crate) fn two(mut table: Table) -> plugin_api::Result<(Table, f64)> {}",
            ),
            ("outputs = []", "fn nothing(_unused: Option<Table>) {}"),
            ("outputs = [\"lines\"]", "fn lines(n: i64) -> Chunks<impl Iterator<Item = Text>> {}"),
            ("outputs = [\"a\", \"b\"]", "fn alias() -> Pair {}"), // the compiler counts an alias
            ("outputs = [\"x\"]", "fn documented(/// The flights. \n table: Table) -> f64 {}"),
        ] {
            assert_eq!(told(attribute, function), Vec::<String>::new(), "{function}");
        }
    }

    #[test]
    fn outputs_must_be_named() {
        let function = "fn f(x: f64) -> f64 {}";
        check("", function, "name the outputs: `#[node(outputs = [\"model\"])]`");
        check("output = [\"y\"]", function, "unknown argument `output`");
        check("outputs = [\"y\", \"y\"]", "fn f() -> (f64, f64) {}", "two outputs are called `y`");
        check("outputs = [\"my output\"]", function, "made of letters, digits");
        check("outputs = [\"y\"]", "fn f() {}", "`outputs` names 1, the function returns 0");
        check("outputs = [\"y\"]", "fn f() -> Result<(f64, Table)> {}", "`outputs` names 1, the function returns 2");
        check("outputs = []", "fn f() -> (f64, Table) {}", "`outputs` names 0, the function returns 2");
    }

    #[test]
    fn functions_that_cannot_be_nodes_are_refused_with_the_reason() {
        check("outputs = []", "fn f(&self) {}", "it has no `self`");
        check("outputs = []", "async fn f() {}", "a node cannot be async");
        check("outputs = []", "unsafe fn f() {}", "cannot be an unsafe function");
        check("outputs = []", "extern \"C\" fn f() {}", "an ordinary Rust function");
        check("outputs = []", "fn f<T: Input>(x: T) {}", "a node cannot be generic");
        check("outputs = []", "struct S;", "`#[node]` belongs on a function");
    }

    #[test]
    fn inputs_that_cannot_be_are_refused_with_what_to_write() {
        check("outputs = []", "fn f((a, b): (f64, f64)) {}", "an input needs a name");
        check("outputs = []", "fn f(_: f64) {}", "an input needs a name");
        check("outputs = []", "fn f(text: &str) {}", "write `Text` or `String`");
        check("outputs = []", "fn f(numbers: &[f64]) {}", "write `Bytes` or `Array<T>`");
        check("outputs = []", "fn f(table: &Table) {}", "write `Table`");
        check("outputs = []", "fn f(table: impl Input) {}", "the type of an input must be named");
        check("outputs = []", "fn f(ctx: &mut Context) {}", "`ctx: &Context`");
        check("outputs = []", "fn f(ctx: Context) {}", "`ctx: &Context`");
    }

    #[test]
    fn all_problems_are_told_together() {
        let told = told("outputs = [\"\"]", "async fn f<T>(&self, text: &str) {}");
        assert_eq!(told.len(), 6, "{told:?}");
    }
}
