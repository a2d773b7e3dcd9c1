//! The manager's store of descriptors: memory that outlives this process.
//!
//! What is in it comes back at the next start by name ([`super::Inherited`]), after `systemctl restart`, a crash or SIGKILL; the
//! pages are never copied. Each entry is two descriptors: the memory under its name, and what must be known of it, a
//! sealed text, under that name with `.about`. The manager keeps at most `FileDescriptorStoreMax=` descriptors and silently closes what is
//! beyond, and a process may die between the two; so nothing may rely on an entry coming back, half of one is
//! thrown away, and what is missing is loaded or computed again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::notify;
use crate::sys::memfd;

/// How often the store is brought up to date.
const PERIOD: Duration = Duration::from_millis(500);
/// What systemd takes as a name.
const NAME_BYTES_MAX: usize = 255;
/// What is known of an entry is far shorter.
const ABOUT_BYTES_MAX: u64 = 1 << 20;
const ABOUT: &str = ".about";

/// Memory that is to outlive this process, or has outlived the one before.
#[derive(Debug)]
pub struct Stored {
    /// A name that is the same for the same thing: ASCII letters, digits and `-`.
    pub name: String,
    /// The memory.
    pub file: OwnedFd,
    /// What must be known of it; another text means that it is another memory.
    pub about: String,
}

/// The store, as far as this process knows what is in it: what is known of each entry, by name.
#[derive(Debug, Default)]
pub struct FdStore {
    kept: BTreeMap<String, String>,
}

impl FdStore {
    /// How every name of ours begins there, so that it is told from a socket's.
    pub const PREFIX: &str = "dagd-";

    /// Takes back what the manager kept.
    pub fn take_back(inherited: Vec<(String, OwnedFd)>) -> (FdStore, Vec<Stored>) {
        let mut store = FdStore::default();
        let mut files: BTreeMap<String, OwnedFd> = inherited.into_iter().collect();
        let mut entries = Vec::new();
        while let Some((full_name, file)) = files.pop_first() {
            let name = full_name.strip_prefix(FdStore::PREFIX).unwrap_or_default().to_owned();
            // A name sorts before the same name with more behind it.
            let about = files.remove(&format!("{full_name}{ABOUT}")).and_then(|about| read(about).ok());
            match about {
                Some(about) => {
                    store.kept.insert(name.clone(), about.clone());
                    entries.push(Stored { name, file, about });
                }
                None => report(&full_name, notify::forget(&full_name)),
            }
        }
        (store, entries)
    }

    /// Makes the store hold exactly this; what is in it already is left as it is.
    pub fn hold(&mut self, wanted: Vec<Stored>) {
        let gone: Vec<String> =
            self.kept.keys().filter(|kept| !wanted.iter().any(|entry| entry.name == **kept)).cloned().collect();
        for name in gone {
            self.forget(&name);
        }
        for entry in wanted {
            if self.kept.get(&entry.name) == Some(&entry.about) {
                continue;
            }
            if self.kept.contains_key(&entry.name) {
                // Two under one name would both come back.
                self.forget(&entry.name);
            }
            match keep(&entry) {
                Ok(true) => drop(self.kept.insert(entry.name, entry.about)),
                Ok(false) => {}
                // It is tried again the next time.
                Err(error) => log::warn!("systemd could not be given {} to keep: {error}", entry.name),
            }
        }
    }

    fn forget(&mut self, name: &str) {
        self.kept.remove(name);
        for full_name in [format!("{}{name}", FdStore::PREFIX), format!("{}{name}{ABOUT}", FdStore::PREFIX)] {
            report(name, notify::forget(&full_name));
        }
    }
}

fn report(name: &str, told: io::Result<bool>) {
    if let Err(error) = told {
        log::warn!("systemd could not be told to let go of {name}: {error}");
    }
}

fn keep(entry: &Stored) -> io::Result<bool> {
    let name = format!("{}{}", FdStore::PREFIX, entry.name);
    let is_plain = entry.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_plain || entry.name.is_empty() || name.len() + ABOUT.len() > NAME_BYTES_MAX {
        let message = format!("{:?} cannot be the name of a kept descriptor", entry.name);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut about = File::from(memfd::create("about", memfd::Purpose::Data)?);
    about.write_all(entry.about.as_bytes())?;
    memfd::seal(&about, memfd::IMMUTABLE)?;
    notify::keep(&format!("{name}{ABOUT}"), about.as_fd())?;
    notify::keep(&name, entry.file.as_fd())
}

fn read(about: OwnedFd) -> io::Result<String> {
    let size = memfd::size(&about)?;
    if size > ABOUT_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    File::from(about).read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The thread that keeps the store up to date; when it is dropped it does so for the last time.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts, if there is a manager. `wanted` tells what is to be in the store.
    pub fn start(mut store: FdStore, wanted: impl Fn() -> Vec<Stored> + Send + 'static) -> Option<Keeper> {
        if !notify::is_managed() {
            return None;
        }
        let (stop, stopped) = channel::<()>();
        let keep = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PERIOD) {
                store.hold(wanted());
            }
            store.hold(wanted());
        };
        match std::thread::Builder::new().name("keeper".to_owned()).spawn(keep) {
            Ok(thread) => Some(Keeper { stop: Some(stop), thread: Some(thread) }),
            Err(error) => {
                log::error!("cannot start the keeper's thread: {error}; nothing in memory outlives the daemon");
                None
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It says what goes wrong in it by itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn file(text: &str) -> OwnedFd {
        let mut file = File::from(memfd::create("test", memfd::Purpose::Data).unwrap());
        file.write_all(text.as_bytes()).unwrap();
        file.into()
    }

    #[test]
    fn an_entry_comes_back_whole_or_not_at_all() {
        let inherited =
            [("dagd-a", "bytes"), ("dagd-a.about", "{}"), ("dagd-b", "no about"), ("dagd-c.about", "no bytes")];
        let inherited = inherited.map(|(name, text)| (name.to_owned(), file(text))).into();
        let (store, entries) = FdStore::take_back(inherited);
        let names: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.about.as_str())).collect();
        assert_eq!(names, [("a", "{}")]);
        assert_eq!(store.kept.len(), 1);
    }

    #[test]
    fn a_name_that_systemd_would_change_is_refused() {
        for name in ["", "a:b", "a b", "ü", &"x".repeat(250)] {
            let entry = Stored { name: name.to_owned(), file: file(""), about: String::new() };
            assert_eq!(keep(&entry).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
