//! When to act on changes: once it is quiet and nobody is writing. Knows no clock and no file.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long nothing may happen before a change is acted on: files that belong together are written one after the other.
const QUIET: Duration = Duration::from_millis(50);
/// How long what is gone may take to come back: whoever replaces a library by removing it first is soon done.
const COME_BACK: Duration = Duration::from_millis(500);
/// After this without a sign of a file that was begun, it is looked at whether somebody still writes to it.
const SIGN: Duration = Duration::from_secs(2);

/// Changes that were not acted on yet.
#[derive(Debug, Default)]
pub struct Settling {
    last: Option<Instant>,
    /// Files that somebody writes to.
    begun: BTreeMap<PathBuf, Begun>,
    /// Files that were taken away, and when.
    gone: BTreeMap<PathBuf, Instant>,
    rest_until: Option<Instant>,
}

#[derive(Debug)]
struct Begun {
    sign: Instant,
    is_told: bool,
}

impl Settling {
    /// Somebody writes to a file.
    pub fn begun(&mut self, file: PathBuf, now: Instant) {
        self.begun.entry(file).or_insert(Begun { sign: now, is_told: false }).sign = now;
    }

    /// A file is as it shall be.
    pub fn finished(&mut self, file: &Path, now: Instant) {
        self.begun.remove(file);
        self.gone.remove(file);
        self.last = Some(now);
    }

    /// A file or a directory is gone, perhaps to be replaced.
    pub fn gone(&mut self, file: PathBuf, now: Instant) {
        self.begun.remove(&file);
        self.gone.insert(file, now);
        self.last = Some(now);
    }

    /// The changes so far were acted on.
    pub fn acted(&mut self) {
        self.last = None;
        self.gone.clear();
    }

    /// Nothing is due before that.
    pub fn rest_until(&mut self, moment: Instant) {
        self.rest_until = Some(moment);
    }

    /// Waits for a file's writer for another while; says whether nobody was told yet that this is waited for.
    pub fn wait_on(&mut self, file: &Path, now: Instant) -> bool {
        self.begun.get_mut(file).is_some_and(|begun| {
            begun.sign = now;
            !std::mem::replace(&mut begun.is_told, true)
        })
    }

    /// Files that were begun and of which nothing was heard for long.
    pub fn overdue(&self, now: Instant) -> Vec<PathBuf> {
        let late = self.begun.iter().filter(|(_, begun)| now >= begun.sign + SIGN);
        late.map(|(file, _)| file.clone()).collect()
    }

    /// Whether the changes are to be acted on now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.begun.is_empty() && self.due_at().is_some_and(|at| now >= at)
    }

    /// How long until there is something to do; nothing if that is up to what happens.
    pub fn due_in(&self, now: Instant) -> Option<Duration> {
        let at = match self.begun.values().map(|begun| begun.sign + SIGN).min() {
            Some(sign) => Some(sign),
            None => self.due_at(),
        };
        at.map(|at| at.saturating_duration_since(now))
    }

    fn due_at(&self) -> Option<Instant> {
        let quiet = self.last? + QUIET;
        let back = self.gone.values().max().map(|gone| *gone + COME_BACK);
        [Some(quiet), back, self.rest_until].into_iter().flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_change_is_acted_on_when_it_is_quiet() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        assert_eq!(settling.due_in(start), None);
        settling.finished(Path::new("b"), start);
        settling.finished(Path::new("a"), after(start, 40));
        assert!(!settling.is_due(after(start, 60)));
        assert_eq!(settling.due_in(after(start, 60)), Some(Duration::from_millis(30)));
        assert!(settling.is_due(after(start, 90)));
        settling.acted();
        assert!(!settling.is_due(after(start, 1000)));
    }

    #[test]
    fn a_file_that_is_being_written_to_is_waited_for_however_long() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let (slow, quick) = (PathBuf::from("slow"), PathBuf::from("quick"));
        settling.begun(slow.clone(), start);
        settling.finished(&quick, start);
        assert!(!settling.is_due(after(start, 60_000)));
        assert_eq!(settling.overdue(after(start, 1_999)), Vec::<PathBuf>::new());
        assert_eq!(settling.overdue(after(start, 2_000)), std::slice::from_ref(&slow));
        assert!(settling.wait_on(&slow, after(start, 2_000)), "told once");
        assert!(!settling.wait_on(&slow, after(start, 4_000)));
        assert_eq!(settling.due_in(after(start, 4_500)), Some(Duration::from_millis(1_500)));
        settling.finished(&slow, after(start, 5_000));
        assert!(settling.is_due(after(start, 5_050)));
    }

    #[test]
    fn what_is_gone_has_a_while_to_come_back() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let file = PathBuf::from("a");
        settling.gone(file.clone(), start);
        assert!(!settling.is_due(after(start, 499)));
        settling.finished(Path::new("b"), after(start, 100));
        assert!(!settling.is_due(after(start, 499)), "the other one may be about to come back");
        assert!(settling.is_due(after(start, 500)));
        settling.finished(&file, after(start, 200));
        assert!(settling.is_due(after(start, 250)));
    }

    #[test]
    fn after_a_reload_comes_a_rest() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        settling.rest_until(after(start, 300));
        settling.finished(Path::new("a"), start);
        assert!(!settling.is_due(after(start, 299)));
        assert!(settling.is_due(after(start, 300)));
    }
}
