//! Values on the command line that need more than a number or a word.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use protocol::{OnFailure, RunState};

/// A count of at least one.
pub fn positive(text: &str) -> Result<u32, String> {
    match text.parse::<i128>() {
        Ok(number) => match u32::try_from(number) {
            Ok(count) if count > 0 => Ok(count),
            _ if number <= 0 => Err(format!("it should be positive, not {number}")),
            _ => Err(format!("it should be at most {}", u32::MAX)),
        },
        Err(_) => Err("it should be a positive whole number".to_owned()),
    }
}

/// `name=value`; the name is dotted, the value is anything.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        None => Err(format!("it should be NAME=VALUE, as in {}=1", if text.is_empty() { "model.alpha" } else { text })),
        Some((name, value)) => {
            let name = name.trim();
            let name = name.strip_prefix("params:").unwrap_or(name);
            if name.is_empty() {
                return Err("the name before = is missing, as in model.alpha=1".to_owned());
            }
            if name.split('.').any(str::is_empty) {
                return Err(format!(
                    "{name:?} has an empty part: a name is words with a dot between, as in model.alpha"
                ));
            }
            Ok((name.to_owned(), value.to_owned()))
        }
    }
}

/// `dataset:version`. A dataset's name may hold colons, a version none.
pub fn load_version(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once(':') {
        Some((dataset, version)) if !dataset.is_empty() && !version.is_empty() => {
            Ok((dataset.to_owned(), version.to_owned()))
        }
        _ => Err("it should be DATASET:VERSION, as in model:2026-11-22T10.11.12.123Z".to_owned()),
    }
}

/// A duration in seconds: a number, or a number with the unit `ms`, `s`, `m` or `h`.
pub fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.trim().strip_suffix(unit)?, *factor))).unwrap_or((text, 1.0));
    match number.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && (value * factor).is_finite() => Ok(value * factor),
        Ok(_) => Err(format!("it should be positive, not {text}")),
        Err(_) => Err("it should be a number of seconds, or one with a unit: 500ms, 90s, 5m, 2h".to_owned()),
    }
}

/// A run's state by its word.
pub fn run_state() -> impl TypedValueParser<Value = RunState> {
    PossibleValuesParser::new(RunState::ALL.map(RunState::as_str)).map(|word| match RunState::from_word(&word) {
        Some(state) => state,
        None => unreachable!("the words are those of the states"),
    })
}

/// What a failure means, by its word.
pub fn on_failure() -> impl TypedValueParser<Value = OnFailure> {
    PossibleValuesParser::new(["stop", "continue"]).map(|word| match word.as_str() {
        "continue" => OnFailure::Continue,
        _ => OnFailure::Stop,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_positive() {
        assert_eq!(positive("3"), Ok(3));
        assert_eq!(positive("0"), Err("it should be positive, not 0".into()));
        assert_eq!(positive("-2"), Err("it should be positive, not -2".into()));
        assert_eq!(positive("4294967296"), Err("it should be at most 4294967295".into()));
        assert!(positive("two").is_err());
    }

    #[test]
    fn parameters_have_a_name() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parameter("a.b=1"), pair("a.b", "1"));
        assert_eq!(parameter("params:a= x=y"), pair("a", " x=y"));
        assert_eq!(parameter("a="), pair("a", ""));
        assert_eq!(parameter("alpha"), Err("it should be NAME=VALUE, as in alpha=1".into()));
        for wrong in ["", "=1", "a..b=1", ".a=1"] {
            assert!(parameter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_version_stands_behind_the_last_colon() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(load_version("model:2026-11-22T10.11.12.123Z"), pair("model", "2026-11-22T10.11.12.123Z"));
        for wrong in ["model", "model:", ":v", ""] {
            assert!(load_version(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_may_have_a_unit() {
        assert_eq!(seconds("90"), Ok(90.0));
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("1.5m"), Ok(90.0));
        assert_eq!(seconds("2 h"), Ok(7200.0));
        for wrong in ["0", "-1", "inf", "nan", "soon", "", "1d", "s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
