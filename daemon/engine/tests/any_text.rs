//! Whatever the files hold, planning ends with a plan or with problems, and every place is one that an editor can go to.

mod support;

use engine::plan::{PlanOptions, check};
use proptest::prelude::*;

const PIPELINE: &str = include_str!("data/flights.toml");
const CATALOG: &str = include_str!("data/catalog.toml");
const PARAMETERS: &str = include_str!("data/parameters.toml");

fn must_end(files: &[(&str, &str)]) {
    let sources = support::sources(files);
    let Err(problems) = check(&sources, &support::manifest(support::PLUGINS), &PlanOptions::default()) else { return };
    assert!(!problems.is_empty(), "refused without a reason");
    for problem in problems {
        assert!(!problem.to_string().is_empty());
        let Some(place) = problem.place else { continue };
        let (_, text) = files.iter().find(|(name, _)| *name == place.file).expect("a place in one of the files");
        let line = text.split('\n').nth(place.line as usize - 1).unwrap_or_else(|| panic!("no such line: {place}"));
        assert!((1..=line.chars().count() + 1).contains(&(place.column as usize)), "no such column: {place}");
    }
}

/// Cuts, doubles or replaces a piece of a text, so that most of it still means something.
fn damaged(text: &str, at: prop::sample::Index, length: usize, with: &str) -> String {
    let mut start = at.index(text.len() + 1);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (start + length).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{with}{}", &text[..start], &text[end.max(start)..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_at_all(toml in ".{0,60}", json in "[\\[\\]{}:,\"a-z0-9. eE+-]{0,40}", parameters in "\\PC{0,40}") {
        must_end(&[("p.toml", &toml), ("catalog.json", &json), ("parameters.toml", &parameters)]);
        must_end(&[("p.json", &json), ("catalog.toml", &toml)]);
    }

    #[test]
    fn a_good_file_with_damage(
        place in any::<prop::sample::Index>(),
        length in 0usize..30,
        with in prop_oneof!["\\PC{0,6}", "[\\[\\]{}$\"=.\n#,:]{0,5}", Just("\r\n".to_owned()), Just("\u{feff}".to_owned())],
        which in 0usize..3,
    ) {
        let mut files = [("p.toml", PIPELINE.to_owned()), ("catalog.toml", CATALOG.to_owned()), ("parameters.toml", PARAMETERS.to_owned())];
        files[which].1 = damaged(&files[which].1, place, length, &with);
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
        must_end(&files);
    }
}
