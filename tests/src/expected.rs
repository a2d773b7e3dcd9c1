//! Comparing results with the outcome that another program computed.

use serde_json::Value;

/// Relative difference up to which two figures count as equal.
const TOLERANCE: f64 = 1e-6;

/// Panics unless `actual` holds everything of `expected`: objects may hold more, lists of `expected` must match in
/// length, integers exactly and other figures within [`TOLERANCE`].
#[track_caller]
pub fn check(place: &str, actual: &Value, expected: &Value) {
    let mut differences = Vec::new();
    compare(place, actual, expected, &mut differences);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn compare(place: &str, actual: &Value, expected: &Value, differences: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            for (key, value) in expected {
                let inner = actual.get(key).unwrap_or(&Value::Null);
                compare(&format!("{place}.{key}"), inner, value, differences);
            }
        }
        (Value::Array(actual), Value::Array(expected)) if actual.len() == expected.len() => {
            for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                compare(&format!("{place}[{index}]"), actual, expected, differences);
            }
        }
        (Value::Number(_), Value::Number(_)) if close(actual, expected) => {}
        (actual, expected) if actual == expected => {}
        (actual, expected) => differences.push(format!("{place}: expected {expected}, got {actual}")),
    }
}

fn close(actual: &Value, expected: &Value) -> bool {
    if let (Some(actual), Some(expected)) = (actual.as_i64(), expected.as_i64()) {
        return actual == expected;
    }
    match (actual.as_f64(), expected.as_f64()) {
        (Some(actual), Some(expected)) => (actual - expected).abs() <= TOLERANCE * expected.abs(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn more_is_allowed_and_figures_may_differ_a_little() {
        check("it", &json!({"a": 1.000_000_1, "b": [1, 2], "c": 3}), &json!({"a": 1.0, "b": [1, 2]}));
    }

    #[test]
    fn whole_numbers_are_exact() {
        let mut differences = Vec::new();
        compare("rows", &json!(1_000_001), &json!(1_000_000), &mut differences);
        assert_eq!(differences, ["rows: expected 1000000, got 1000001"]);
    }
}
