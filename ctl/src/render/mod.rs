//! Turns answers of the daemon into text; pure, so that tests can say exactly what is shown.

pub mod bars;
pub mod blocks;
pub mod catalog;
pub mod graph;
pub mod listing;
pub mod log;
pub mod node;
pub mod paint;
pub mod problem;
pub mod progress;
pub mod reload;
pub mod report;
pub mod table;
pub mod units;
