//! What the service manager passed at the start: sockets to listen on, and descriptors it kept for us.
//!
//! Systemd puts both into one list (`LISTEN_FDS`, from descriptor 3 on) and tells them apart by name (`LISTEN_FDNAMES`): a
//! socket's name comes from its unit, a kept descriptor's from us ([`super::FdStore::PREFIX`]).

use std::os::fd::OwnedFd;

use super::FdStore;
use crate::sys::process;

/// The number of the first descriptor that systemd passes.
const FIRST_PASSED: i32 = 3;

/// What was passed.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Sockets to listen on, as they claim to be: see [`crate::server::socket`].
    pub sockets: Vec<OwnedFd>,
    /// What the manager kept for us, by name.
    pub stored: Vec<(String, OwnedFd)>,
}

impl Inherited {
    /// Takes what was passed to this process. To be called once, at the start. The error is a sentence.
    pub fn take() -> Result<Inherited, String> {
        let variable = |name| std::env::var(name).ok();
        let names = names_for(
            std::process::id(),
            variable("LISTEN_PID").as_deref(),
            variable("LISTEN_FDS").as_deref(),
            variable("LISTEN_FDNAMES").as_deref(),
        );
        let mut inherited = Inherited::default();
        for (number, name) in (FIRST_PASSED..).zip(names) {
            let file = process::take_inherited(number).map_err(|error| {
                format!("LISTEN_FDS says that a descriptor {number} was passed, but it cannot be used: {error}")
            })?;
            match name {
                Some(name) if name.starts_with(FdStore::PREFIX) => inherited.stored.push((name, file)),
                _ => inherited.sockets.push(file),
            }
        }
        Ok(inherited)
    }
}

/// The names of what was passed to the process `own_pid`, one for each descriptor.
fn names_for(own_pid: u32, pid: Option<&str>, count: Option<&str>, names: Option<&str>) -> Vec<Option<String>> {
    if pid.and_then(|pid| pid.parse().ok()) != Some(own_pid) {
        return Vec::new();
    }
    // More than a process can have open is no count.
    let count: usize = count.and_then(|count| count.parse().ok()).filter(|count| *count < 1 << 20).unwrap_or(0);
    let mut names = names.map(|names| names.split(':')).into_iter().flatten().map(str::to_owned);
    (0..count).map(|_| names.next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_for_this_process_is_taken_and_names_may_be_missing() {
        let names = |pid, count, names| names_for(7, pid, count, names);
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(names(Some("7"), Some("2"), Some("dagd.socket:dagd-a")), [some("dagd.socket"), some("dagd-a")]);
        assert_eq!(names(Some("7"), Some("2"), Some("one")), [some("one"), None]);
        assert_eq!(names(Some("7"), Some("1"), None), [None]);
        assert!(names(Some("8"), Some("1"), None).is_empty(), "meant for another process");
        assert!(names(None, Some("1"), None).is_empty());
        assert!(names(Some("7"), Some("many"), None).is_empty());
        assert!(names(Some("7"), Some("99999999999"), None).is_empty());
    }
}
