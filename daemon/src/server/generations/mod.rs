//! Generations: the plugins that were loaded together, and the processes that hold them.
//!
//! ```text
//! directories ─find─▶ paths ─trust, copy─▶ Stock ─load─▶ Candidate ─start workers, hooks─▶ Generation
//!                                            │ a bad library                    │ swap
//!                                            ▼ (at start: set aside)            ▼
//!                                         refused                   current; the one before drains, then is retired
//! ```
//!
//! [`find`] looks for libraries, [`trust`] says which may be loaded, [`Library`] copies them, [`load`] brings a zygote up with them
//! and finds those that kill or hang it, [`Zygote`] keeps it up and starts workers through it. A [`Generation`] adds the pool and the
//! hooks. [`Generations`] knows which one is current and replaces it ([`reload`]); [`watch`] asks for that when files change. A run
//! keeps the generation it began with; [`retire`] ends one when nobody holds it any more.
#![forbid(unsafe_code)]

mod candidate;
mod current;
pub mod difference;
pub mod find;
mod generation;
mod known;
mod library;
mod load;
mod memory;
mod reload;
mod retire;
mod signature;
mod stranded;
mod trust;
mod watch;
mod zygote;

pub use current::{Generations, RefusedGeneration};
pub use generation::Generation;
pub use library::Library;
pub use load::{BadLibraries, LoadError, LoadSettings, Refused, ending_in_words, signal_name};
pub use reload::{ReloadCause, ReloadError};
pub use zygote::{Process, ProcessEnd, Zygote};
