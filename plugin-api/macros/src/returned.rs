//! What a function returns, as far as its signature shows.

use syn::{GenericArgument, PathArguments, ReturnType, Type};

/// The outputs that a return type shows: `Result<(A, B)>` shows two, `()` none.
pub fn outputs(output: &ReturnType) -> Vec<Type> {
    match output {
        ReturnType::Default => Vec::new(),
        ReturnType::Type(_, of) => outputs_of(of),
    }
}

fn outputs_of(of: &Type) -> Vec<Type> {
    match of {
        Type::Tuple(tuple) => tuple.elems.iter().cloned().collect(),
        Type::Paren(inner) => outputs_of(&inner.elem),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Result" => match first_argument(&last.arguments) {
                Some(inner) => outputs_of(inner),
                None => vec![of.clone()],
            },
            _ => vec![of.clone()],
        },
        _ => vec![of.clone()],
    }
}

fn first_argument(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(of) => Some(of),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(signature: &str) -> usize {
        let function: syn::ItemFn = syn::parse_str(&format!("fn f() {signature} {{}}")).expect("a function");
        outputs(&function.sig.output).len()
    }

    #[test]
    fn counts_what_is_returned() {
        assert_eq!(count(""), 0);
        assert_eq!(count("-> ()"), 0);
        assert_eq!(count("-> Result<()>"), 0);
        assert_eq!(count("-> Table"), 1);
        assert_eq!(count("-> Result<Json<Model>, std::io::Error>"), 1);
        assert_eq!(count("-> plugin_api::Result<(Table, Json<Model>)>"), 2);
        assert_eq!(count("-> (Table, f64, Text)"), 3);
    }
}
