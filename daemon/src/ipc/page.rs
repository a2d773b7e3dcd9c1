//! Pages of atomics shared by two processes: what must be told without a system call, or after the teller's death.
//!
//! The creator fixes a page's size by seals before anyone maps it, so no peer can make an access fault. Every field is
//! an atomic word on its own; a peer past its `dlopen` may write any value at any time, and readers treat what they
//! find as a claim (a progress figure, an index that may be out of range).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::{Atomics, SharedMemory};
use crate::sys::PAGE_BYTES;

/// Words in a page.
const WORDS: usize = PAGE_BYTES / size_of::<AtomicU64>();

/// A mapped page.
type Page = SharedMemory<[AtomicU64; WORDS]>;

// SAFETY: an array of atomics.
unsafe impl Atomics for [AtomicU64; WORDS] {}

/// What a driver and its worker tell each other while a task runs.
#[derive(Debug)]
pub struct WorkerPage(Page);

impl WorkerPage {
    const TOKEN: usize = 0;
    const CANCELLED: usize = 1;
    const DONE: usize = 2;
    const TOTAL: usize = 3;

    /// A new page and the descriptor that another process can open it by.
    pub fn create() -> io::Result<(WorkerPage, OwnedFd)> {
        let (page, file) = Page::create("dagd-worker-page")?;
        Ok((WorkerPage(page), file))
    }

    /// The page behind a descriptor.
    pub fn open(file: impl AsFd) -> io::Result<WorkerPage> {
        Page::open(file, "a page").map(WorkerPage)
    }

    /// Worker: this task runs from now on, 0 for none.
    pub fn begin(&self, token: u64) {
        let words = &*self.0;
        words[Self::DONE].store(0, Ordering::Relaxed);
        words[Self::TOTAL].store(0, Ordering::Relaxed);
        words[Self::TOKEN].store(token, Ordering::Release);
    }

    /// Server: the task the worker is at, 0 for none.
    pub fn token(&self) -> u64 {
        self.0[Self::TOKEN].load(Ordering::Acquire)
    }

    /// Server: asks the worker to give this task up. A task that is not running is not concerned.
    pub fn cancel(&self, token: u64) {
        self.0[Self::CANCELLED].store(token, Ordering::Release);
    }

    /// Worker: whether this task should be given up.
    pub fn is_cancelled(&self, token: u64) -> bool {
        token != 0 && self.0[Self::CANCELLED].load(Ordering::Acquire) == token
    }

    /// Worker: `done` of `total` are done.
    pub fn set_progress(&self, done: u64, total: u64) {
        let words = &*self.0;
        words[Self::TOTAL].store(total, Ordering::Relaxed);
        words[Self::DONE].store(done, Ordering::Release);
    }

    /// Server: the progress of the current task as `(done, total)`; `None` before the first figure.
    pub fn progress(&self) -> Option<(u64, u64)> {
        let words = &*self.0;
        let done = words[Self::DONE].load(Ordering::Acquire);
        let total = words[Self::TOTAL].load(Ordering::Relaxed);
        (total != 0).then_some((done.min(total), total))
    }
}

/// What a zygote is doing to a library, told before it does it, so that a crash or a hang has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadingPhase {
    /// `dlopen`: relocation and the library's constructors.
    Opening,
    /// Checking the ABI's version and layout.
    Checking,
    /// The plugin's own preparation.
    Initialising,
    /// Asking what the plugin offers.
    Describing,
}

impl LoadingPhase {
    /// The phase as it stands after "while": `opening the library (its constructors run then)`.
    pub fn describe(self) -> &'static str {
        match self {
            LoadingPhase::Opening => "opening the library (its constructors run then)",
            LoadingPhase::Checking => "checking its ABI",
            LoadingPhase::Initialising => "initialising the plugin",
            LoadingPhase::Describing => "asking the plugin what it offers",
        }
    }
}

/// Where a zygote stands with its libraries.
#[derive(Debug)]
pub struct LoadingPage(Page);

impl LoadingPage {
    const CURRENT: usize = 0;

    /// A new page and the descriptor that another process can open it by.
    pub fn create() -> io::Result<(LoadingPage, OwnedFd)> {
        let (page, file) = Page::create("dagd-loading-page")?;
        Ok((LoadingPage(page), file))
    }

    /// The page behind a descriptor.
    pub fn open(file: impl AsFd) -> io::Result<LoadingPage> {
        Page::open(file, "a page").map(LoadingPage)
    }

    /// Zygote: from now on, this is being done to the library of this index.
    pub fn enter(&self, library: u32, phase: LoadingPhase) {
        let word = (u64::from(library) << 8) | (phase as u64 + 1);
        self.0[Self::CURRENT].store(word, Ordering::Release);
    }

    /// Zygote: nothing is being loaded.
    pub fn leave(&self) {
        self.0[Self::CURRENT].store(0, Ordering::Release);
    }

    /// Server: what is being done to which library, if anything. The index may be out of range.
    pub fn current(&self) -> Option<(u32, LoadingPhase)> {
        let word = self.0[Self::CURRENT].load(Ordering::Acquire);
        let phase = match word & 0xff {
            1 => LoadingPhase::Opening,
            2 => LoadingPhase::Checking,
            3 => LoadingPhase::Initialising,
            4 => LoadingPhase::Describing,
            _ => return None,
        };
        Some((u32::try_from(word >> 8).ok()?, phase))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sys::memfd;

    #[test]
    fn both_sides_see_the_same_page() {
        let (server, file) = WorkerPage::create().unwrap();
        let worker = WorkerPage::open(&file).unwrap();
        assert_eq!((server.token(), server.progress()), (0, None));
        worker.begin(7);
        worker.set_progress(3, 10);
        assert_eq!((server.token(), server.progress()), (7, Some((3, 10))));
        server.cancel(6);
        assert!(!worker.is_cancelled(7));
        server.cancel(7);
        assert!(worker.is_cancelled(7));
        worker.begin(8);
        assert!(!worker.is_cancelled(8) && server.progress().is_none());
    }

    #[test]
    fn the_loading_page_names_library_and_phase() {
        let (server, file) = LoadingPage::create().unwrap();
        let zygote = LoadingPage::open(&file).unwrap();
        assert_eq!(server.current(), None);
        zygote.enter(u32::MAX, LoadingPhase::Describing);
        assert_eq!(server.current(), Some((u32::MAX, LoadingPhase::Describing)));
        zygote.enter(0, LoadingPhase::Opening);
        assert_eq!(server.current(), Some((0, LoadingPhase::Opening)));
        zygote.leave();
        assert_eq!(server.current(), None);
        // A peer may write anything.
        server.0[0].store(u64::MAX, Ordering::Release);
        assert_eq!(server.current(), None);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        memfd::reserve(&file, PAGE_BYTES as u64).unwrap();
        assert!(WorkerPage::open(&file).is_err(), "not sealed");
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        memfd::seal(&file, memfd::FIXED_SIZE).unwrap();
        assert!(LoadingPage::open(&file).is_err(), "too small");
        assert!(LoadingPage::open(std::io::stdin()).is_err(), "no memory file");
    }
}
