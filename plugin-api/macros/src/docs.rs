//! Doc comments, and types as text.

use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Type};

/// The lines of a doc comment.
pub fn lines(attributes: &[Attribute]) -> Vec<String> {
    attributes.iter().filter_map(line).flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Whether it is a doc comment.
pub fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
    // `lines` of an empty string gives nothing, yet an empty line parts two paragraphs.
    is_doc(attribute).then(|| if text.value().is_empty() { "\n".to_owned() } else { text.value() })
}

/// A type as a person would write it.
pub fn type_text(of: &Type) -> String {
    let mut text = of.to_token_stream().to_string();
    for (spaced, tight) in [
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" ,", ","),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_people_write_them() {
        let written = "Result<(Table, Option<Json<std::vec::Vec<f64>>>)>";
        let parsed: Type = syn::parse_str(written).expect("a type");
        assert_eq!(type_text(&parsed), written);
    }
}
