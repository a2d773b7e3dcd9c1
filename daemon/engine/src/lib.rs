//! The brain of dagd. It never touches the world.
//!
//! Two halves, both plain functions of their arguments:
//!
//! * **text → plan**: [`parse`](parse::parse) turns what was written into a [`Spec`](spec::Spec), [`plan`](plan::plan) checks it
//!   against what the plugins announced ([`Manifest`](signature::Manifest)) and gives a frozen [`Plan`](plan::Plan), or every
//!   [`Problem`](problem::Problem) at once, each with its place in the file. [`plan::check`] does both.
//! * **events → actions**: a [`Run`](run::Run) is made from a plan; [`Run::on`](run::Run::on) takes what happened and the time, and
//!   appends what to do to the caller's list. The same events give the same actions.
//!
//! No IO, no clock, no threads, no environment: `clippy.toml` beside this crate forbids them, so that a simulation
//! with a pretend clock (`tests/laws.rs`) tests the very thing that runs.
//!
//! Reading order, first half: [`source`] → [`document`] → [`parse`] → [`spec`] → [`module`], [`matrix`] → [`catalog`], [`interpolate`],
//! [`credentials`], [`signature`], [`json_schema`] → [`filter`], [`graph`] → [`plan`]. Second half: [`event`] → [`run`] (with
//! [`retain`], [`policy`]) → [`action`] → [`report`].
//! Between runs: [`missing`] and [`resume`] choose the nodes that must run (again).
#![forbid(unsafe_code)]

pub mod action;
pub mod catalog;
pub mod credentials;
pub mod document;
pub mod event;
pub mod failure;
pub mod filter;
pub mod graph;
pub mod id;
pub mod intern;
pub mod interpolate;
pub mod json_schema;
pub mod matrix;
pub mod missing;
pub mod module;
pub mod parse;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod report;
pub mod resume;
pub mod retain;
pub mod run;
pub mod schema;
pub mod signature;
pub mod source;
pub mod spec;
pub mod version;
