//! What a fan-out would write out, counted before it is made: a few lines of matrix could ask for any number of gigabytes.

use crate::matrix::placeholders;
use crate::plan::drawing::parameter_path;
use crate::spec::{Axis, NodeSpec};

/// The fan-outs of a pipeline write out at most this many bytes of names, bindings and tags. What was written without a
/// matrix is not counted: it is no longer than its text.
pub(super) const FAN_OUT_BYTES_MAX: u64 = 512 << 20;

/// What one bound or unbound port of one node takes beside its dataset's name.
const PORT_BYTES: u64 = 8;

/// Counts the bytes of the names, bindings and tags of all combinations of a node's matrix, each as often as it is written
/// out, and of its ports. Exact for texts; for the JSON of parameters it may be too much, never too little.
pub(super) fn bytes(spec: &NodeSpec<'_>, ports: usize, count: usize) -> u64 {
    if spec.matrix().is_empty() || count == 0 {
        return 0;
    }
    let sums = Sums { axes: spec.matrix(), sums: spec.matrix().iter().map(Sum::of).collect(), count: count as u64 };
    let name = match &spec.name {
        Some(name) => sums.text(&name.text),
        None => sums.default_name(spec.call.text.rsplit("::").next().unwrap_or_default()),
    };
    let tags = spec.tags().iter().map(|tag| sums.text(&tag.text)).fold(0, u64::saturating_add);
    let inputs = spec.inputs.targets.iter().map(|target| &*target.text);
    let inputs = inputs.map(|target| sums.text(target).saturating_add(sums.json(target)));
    let outputs = spec.outputs.targets.iter().map(|target| sums.text(&target.text));
    let confirms = spec.confirms().iter().map(|name| sums.text(&name.text));
    let bindings = inputs.chain(outputs).chain(confirms).fold(0, u64::saturating_add);
    let ports = sums.count.saturating_mul(PORT_BYTES).saturating_mul(ports as u64);
    [tags, bindings, ports].into_iter().fold(name, u64::saturating_add)
}

/// The matrix's combinations in sums.
struct Sums<'s, 'a> {
    axes: &'s [Axis<'a>],
    /// Beside the axes.
    sums: Vec<Sum>,
    count: u64,
}

/// All values of an axis.
struct Sum {
    values: u64,
    text: u64,
    json: u64,
}

impl Sum {
    fn of(axis: &Axis<'_>) -> Self {
        let total = |length: fn(&crate::spec::AxisValue) -> usize| axis.values.iter().map(length).sum::<usize>() as u64;
        Self {
            values: axis.values.len() as u64,
            text: total(|value| value.text.len()),
            json: total(|value| value.json.len()),
        }
    }
}

impl Sums<'_, '_> {
    /// Each value stands in so many of the combinations.
    fn each(&self, sum: &Sum) -> u64 {
        self.count.checked_div(sum.values).unwrap_or(0)
    }

    /// Adds up a text over all combinations, filled as [`Combination::fill`](crate::matrix::Combination::fill) does.
    fn text(&self, text: &str) -> u64 {
        let written: usize = placeholders(text).map(|name| name.len() + 2).sum();
        let literal = self.count.saturating_mul((text.len() - written) as u64);
        placeholders(text)
            .filter_map(|name| self.sum(name))
            .fold(literal, |total, sum| total.saturating_add(self.each(sum).saturating_mul(sum.text)))
    }

    /// Adds up the name that a node gets which has none.
    fn default_name(&self, function: &str) -> u64 {
        self.sums.iter().fold(self.count.saturating_mul(function.len() as u64), |total, sum| {
            total.saturating_add(self.each(sum).saturating_mul(sum.text.saturating_add(sum.values)))
        })
    }

    /// Adds up the values of the matrix that a binding may bind as parameters.
    fn json(&self, text: &str) -> u64 {
        let json = |sum| self.each(sum).saturating_mul(sum.json);
        match text.split_once(['{', '}']) {
            None => parameter_path(text).and_then(|path| self.sum(path)).map_or(0, json),
            // Which one is known only when it is filled.
            Some((start, _)) if start.starts_with("params:") || "params:".starts_with(start) => {
                self.sums.iter().map(json).fold(0, u64::saturating_add)
            }
            Some(_) => 0,
        }
    }

    fn sum(&self, name: &str) -> Option<&Sum> {
        self.sums.get(self.axes.iter().position(|axis| axis.name.text == name)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::document::Word;
    use crate::matrix::{Combination, count};
    use crate::source::Site;
    use crate::spec::AxisValue;

    fn axis(name: &'static str, values: &[&str]) -> Axis<'static> {
        let value = |text: &&str| AxisValue { text: (*text).to_owned(), json: format!("{text:?}") };
        let name = Word { text: name.into(), site: Site::default() };
        Axis { name, values: values.iter().map(value).collect() }
    }

    #[test]
    fn the_sum_of_a_text_is_that_of_its_fillings() {
        let axes = [axis("a", &["1", "22", "日"]), axis("long", &["x", ""])];
        let combinations = count(&axes).unwrap();
        let sums = Sums { axes: &axes, sums: axes.iter().map(Sum::of).collect(), count: combinations as u64 };
        let each = || (0..combinations).map(|number| Combination::new(&axes, number));
        for text in ["", "plain", "{a}", "{long}", "é{long}_{a}{a}-{long}.csv"] {
            let filled: usize = each().map(|combination| combination.fill(text).unwrap().len()).sum();
            assert_eq!(sums.text(text), filled as u64, "{text}");
        }
        let named: usize =
            each().map(|one| one.values().fold("f".len(), |length, value| length + 1 + value.len())).sum();
        assert_eq!(sums.default_name("f"), named as u64);
        // Values are bound with their quotes: 2 times 3 + 4 + 5 bytes, 3 times 3 + 2.
        for (text, json) in
            [("params:a", 24), ("params:long", 15), ("a", 0), ("params:b", 0), ("p{a}", 39), ("x{a}", 0)]
        {
            assert_eq!(sums.json(text), json, "{text}");
        }
    }

    #[test]
    fn texts_that_cannot_be_filled_and_sums_that_fit_no_number() {
        let axes = [axis("a", &["1", "2"])];
        let mut sums = Sums { axes: &axes, sums: axes.iter().map(Sum::of).collect(), count: 2 };
        for text in ["{", "}", "{a", "a}", "{b}", "}{", "{{a}}", "{a}}{"] {
            assert!(sums.text(text) <= 2 * text.len() as u64, "{text}");
        }
        sums.sums = vec![Sum { values: 1, text: u64::MAX, json: u64::MAX }];
        assert_eq!([sums.text("{a}x{a}"), sums.default_name("f"), sums.json("{a}")], [u64::MAX; 3]);
    }
}
