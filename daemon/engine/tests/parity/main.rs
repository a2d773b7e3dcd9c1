//! What Kedro's users rely on, each test named after its row of the parity table, over random pipelines where that says
//! more than a case. Rows shown by cases stand beside their like: `runs`, `problems`, `laws`.
#![allow(clippy::unwrap_used, reason = "a test")]

mod picking;
mod scheduling;
#[path = "../sim/mod.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;
mod texts;
