//! The manager's store of descriptors: memory that outlives this process.
//!
//! What is in it comes back at the next start by name ([`super::Inherited`]), after `systemctl restart`, a crash or SIGKILL; the
//! pages are never copied. The manager keeps at most `FileDescriptorStoreMax=` of them and silently closes what is beyond,
//! so nothing may rely on a name coming back: what is missing is loaded or computed again.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::notify;

/// A descriptor that came back, and its name.
pub type Stored = (String, OwnedFd);

/// The store, as far as this process has filled it.
#[derive(Debug, Default)]
pub struct FdStore {
    kept: Mutex<BTreeSet<String>>,
}

impl FdStore {
    /// How every name of ours begins, so that it is told from a socket's.
    pub const PREFIX: &str = "dagd-";
    /// What systemd takes as a name.
    const NAME_BYTES_MAX: usize = 255;

    /// Knows of what came back.
    pub fn new(stored: &[Stored]) -> FdStore {
        FdStore { kept: Mutex::new(stored.iter().map(|(name, _)| name.clone()).collect()) }
    }

    /// Has the manager keep this file under a name, instead of any it has under it; says whether there is a manager.
    pub fn keep(&self, name: &str, file: impl AsFd) -> io::Result<bool> {
        check(name)?;
        if !self.lock().insert(name.to_owned()) {
            // Two under one name would both come back.
            notify::forget(name)?;
        }
        notify::keep(name, file.as_fd())
    }

    /// Has the manager let go of what it keeps under this name.
    pub fn forget(&self, name: &str) {
        if self.lock().remove(name)
            && let Err(error) = notify::forget(name)
        {
            log::warn!("systemd could not be told to let go of {name}: {error}");
        }
    }

    /// The names it keeps.
    pub fn names(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what systemd would rename.
fn check(name: &str) -> io::Result<()> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if name.starts_with(FdStore::PREFIX) && is_plain && name.len() <= FdStore::NAME_BYTES_MAX {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} cannot be the name of a kept descriptor")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_it_was() {
        assert!(check("dagd-resident-3f").is_ok());
        for wrong in ["resident", "dagd-a:b", "dagd-a b", "dagd-ü", &format!("dagd-{}", "x".repeat(251))] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
