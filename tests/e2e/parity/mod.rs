//! What Kedro's users rely on, where it crosses processes: a test's name begins with its row. A module a topic.

mod catalog;
mod credentials;
mod dataset_types;
mod inputs;
mod outputs;
mod resident;
mod versions;
