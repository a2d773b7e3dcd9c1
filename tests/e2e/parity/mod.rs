//! The rows of behaviour that users of other runners rely on, where they cross processes. A module a topic; the name of a test
//! begins with its row.

mod inputs;
mod outputs;
mod resident;
