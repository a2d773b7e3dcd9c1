//! What `ctl dev` is made of: building a plugin crate, putting its library where a daemon finds it, noticing changes.

pub mod build;
pub mod place;
pub mod sources;
