//! Fan-out: one written node, one node of the plan for each combination of its matrix's values.

use std::borrow::Cow;

use crate::spec::{Axis, AxisValue};

/// A plan holds at most this many nodes; a few lines of matrix could ask for any number.
pub const NODES_MAX: usize = 4_000_000;

/// Counts the combinations of a matrix: 1 without axes. Nothing when they are more than [`NODES_MAX`].
pub fn count(axes: &[Axis<'_>]) -> Option<usize> {
    (axes.iter())
        .try_fold(1usize, |count, axis| count.checked_mul(axis.values.len()))
        .filter(|&count| count <= NODES_MAX)
}

/// One combination of a matrix's values. The last axis changes fastest.
#[derive(Clone, Copy, Debug)]
pub struct Combination<'s, 'a> {
    axes: &'s [Axis<'a>],
    number: usize,
}

impl<'s, 'a> Combination<'s, 'a> {
    /// Gives combination `number`, counted from 0.
    pub fn new(axes: &'s [Axis<'a>], number: usize) -> Self {
        Self { axes, number }
    }

    /// Gives the value of the axis of that name.
    pub fn value(&self, name: &str) -> Option<&'s AxisValue> {
        let position = self.axes.iter().position(|axis| axis.name.text == name)?;
        let stride: usize = self.axes[position + 1..].iter().map(|axis| axis.values.len()).product();
        let values = &self.axes[position].values;
        values.get((self.number / stride.max(1)).checked_rem(values.len())?)
    }

    /// Gives all values, for the default name of a node.
    pub fn values(&self) -> impl Iterator<Item = &'s str> {
        self.axes.iter().filter_map(|axis| self.value(&axis.name.text)).map(|value| &*value.text)
    }

    /// Puts the values into the `{placeholders}` of a text.
    ///
    /// # Errors
    /// What is wrong with the text; it depends on the text and the axes only, not on the combination.
    pub fn fill<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, FillError<'t>> {
        if !text.contains(['{', '}']) {
            return Ok(Cow::Borrowed(text));
        }
        let mut filled = String::with_capacity(text.len() + 8);
        let mut rest = text;
        while let Some((before, name, after)) = placeholder(rest)? {
            filled.push_str(before);
            filled.push_str(&self.value(name).ok_or(FillError::Unknown(name))?.text);
            rest = after;
        }
        filled.push_str(rest);
        Ok(Cow::Owned(filled))
    }
}

/// Finds the first placeholder of a text: what stands before it, its name, and what stands after it.
fn placeholder(text: &str) -> Result<Option<(&str, &str, &str)>, FillError<'_>> {
    let Some(brace) = text.find(['{', '}']) else { return Ok(None) };
    let (before, from) = text.split_at(brace);
    let inner = from.strip_prefix('{').ok_or(FillError::Unbalanced)?;
    let (name, after) = inner.split_once('}').ok_or(FillError::Unbalanced)?;
    Ok(Some((before, name, after)))
}

/// Walks over the names in a text's placeholders, up to a brace that has no partner.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, name, after) = placeholder(rest).ok()??;
        rest = after;
        Some(name)
    })
}

/// What is wrong with a text that holds placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillError<'t> {
    /// A brace without its partner.
    Unbalanced,
    /// A placeholder that the matrix does not have.
    Unknown(&'t str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Word;
    use crate::source::Site;

    fn axis(name: &'static str, values: &[&str]) -> Axis<'static> {
        let value = |text: &&str| AxisValue { text: (*text).to_owned(), json: format!("{text:?}") };
        let name = Word { text: name.into(), site: Site::default() };
        Axis { name, values: values.iter().map(value).collect() }
    }

    #[test]
    fn every_combination_comes_once() {
        let axes = [axis("a", &["1", "2"]), axis("b", &["x", "y", "z"])];
        let filled: Vec<String> = (0..count(&axes).unwrap())
            .map(|number| Combination::new(&axes, number).fill("{b}{a}").unwrap().into_owned())
            .collect();
        assert_eq!(filled, ["x1", "y1", "z1", "x2", "y2", "z2"]);
        assert_eq!(count(&[]), Some(1));
    }

    #[test]
    fn what_is_too_many_or_none_at_all() {
        let values: Vec<&str> = vec!["v"; 3_000];
        let wide = axis("a", &values);
        assert_eq!(count(&[wide.clone(), wide.clone()]), None);
        assert_eq!(count(&vec![wide; 40]), None, "the product does not even fit into a number");
        assert_eq!(count(&[axis("a", &[])]), Some(0));
    }

    #[test]
    fn braces() {
        let axes = [axis("a", &["1"])];
        let combination = Combination::new(&axes, 0);
        for (text, expected) in [
            ("plain", Ok("plain")),
            ("{a}", Ok("1")),
            ("x{a}{a}y", Ok("x11y")),
            ("{b}", Err(FillError::Unknown("b"))),
            ("{}", Err(FillError::Unknown(""))),
            ("{a", Err(FillError::Unbalanced)),
            ("a}", Err(FillError::Unbalanced)),
        ] {
            assert_eq!(combination.fill(text), expected.map(Cow::Borrowed), "{text}");
        }
    }
}
