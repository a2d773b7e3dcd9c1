//! What Kedro's users rely on, where it crosses processes: a test's name begins with its row. A module a topic.

mod catalog;
mod credentials;
mod dataset_types;
mod hooks;
mod inputs;
mod missing;
mod outputs;
mod pipelines;
mod resident;
mod resume;
mod runner;
mod versions;
