//! The rules of the repository, as tests: who may use whom, where `unsafe` may stand, how long a file may be, what no
//! text may say. Each failing rule lists every offender with its place.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod code;
mod imports;
mod manifests;
mod sources;
mod texts;

/// Fails naming the rule and every offender.
#[track_caller]
fn expect_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}; {} offenders:\n  {}", offenders.len(), offenders.join("\n  "));
}
