//! The list of sleeping drivers.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// Who sleeps. The count stands beside the list so that "nobody sleeps", the usual case under load, costs no lock.
pub struct Sleepers {
    count: AtomicUsize,
    /// How many were taken off the list by somebody else and have not come yet. A hint: written under the list's lock, read without.
    waking: AtomicUsize,
    list: Mutex<Vec<usize>>,
    wake: Box<dyn Fn(usize) + Send + Sync>,
}

impl Sleepers {
    /// Makes an empty list; `wake` rouses one driver.
    pub fn new(wake: Box<dyn Fn(usize) + Send + Sync>) -> Sleepers {
        Sleepers { count: AtomicUsize::new(0), waking: AtomicUsize::new(0), list: Mutex::new(Vec::new()), wake }
    }

    /// Adds a driver; whatever queue it reads after this call shows every job whose pusher did not see it here.
    pub fn add(&self, index: usize) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.contains(&index) {
            list.push(index);
        }
        self.count.store(list.len(), Ordering::SeqCst);
        drop(list);
        fence(Ordering::SeqCst);
    }

    /// Whether the list holds anybody.
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// How many have been woken and are on their way.
    pub fn waking(&self) -> usize {
        self.waking.load(Ordering::Relaxed)
    }

    /// Takes a driver off the list that was added; it may have been taken off by a waker already.
    pub fn remove(&self, index: usize) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let before = list.len();
        list.retain(|&sleeper| sleeper != index);
        if list.len() == before {
            let waking = self.waking.load(Ordering::Relaxed);
            self.waking.store(waking.saturating_sub(1), Ordering::Relaxed);
        }
        self.count.store(list.len(), Ordering::SeqCst);
    }

    /// Wakes up to `jobs` sleepers, the one that fell asleep last first: its caches are the warmest.
    pub fn wake(&self, jobs: usize) {
        if jobs == 0 {
            return;
        }
        fence(Ordering::SeqCst);
        for _ in 0..jobs {
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            let sleeper = {
                let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
                let sleeper = list.pop();
                if sleeper.is_some() {
                    self.waking.fetch_add(1, Ordering::Relaxed);
                }
                self.count.store(list.len(), Ordering::SeqCst);
                sleeper
            };
            match sleeper {
                Some(index) => (self.wake)(index),
                None => return,
            }
        }
    }
}

impl std::fmt::Debug for Sleepers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleepers").field("count", &self.count).finish_non_exhaustive()
    }
}
