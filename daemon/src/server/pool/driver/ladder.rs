//! How an attempt is stopped: asked by a flag the node can read, then by SIGTERM, then by SIGKILL; every wait is bounded.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use engine::action::AbortReason;

/// After SIGTERM a worker may take so long to end. Plugins rarely handle it, so it is short.
const TERMINATE_PATIENCE: Duration = Duration::from_millis(200);
/// After SIGKILL the kernel may take so long, for example to write pages back.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Where an attempt stands that is being stopped.
#[derive(Debug)]
pub struct Ladder {
    reason: AbortReason,
    rung: Rung,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    Asked,
    Terminated,
    Killed,
}

/// What to do to the worker now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// Send it SIGTERM.
    Terminate,
    /// Send it SIGKILL.
    Kill,
    /// It cannot be ended: let it be, and take another.
    GiveUp,
}

impl Ladder {
    /// Begins: the caller has set the flag.
    pub fn start(reason: AbortReason, grace: Duration, now: Instant) -> Ladder {
        Ladder { reason, rung: Rung::Asked, until: now + grace }
    }

    /// Why the attempt is being stopped.
    pub fn reason(&self) -> AbortReason {
        self.reason
    }

    /// How long until the next step.
    pub fn patience(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// Takes the next step if its time has come.
    pub fn push(&mut self, now: Instant) -> Option<Push> {
        if now < self.until {
            return None;
        }
        let (rung, patience, push) = match self.rung {
            Rung::Asked => (Rung::Terminated, TERMINATE_PATIENCE, Push::Terminate),
            Rung::Terminated => (Rung::Killed, KILL_PATIENCE, Push::Kill),
            Rung::Killed => (Rung::Killed, KILL_PATIENCE, Push::GiveUp),
        };
        self.rung = rung;
        self.until = now + patience;
        Some(push)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polite_then_firm_then_final() {
        let start = Instant::now();
        let mut ladder = Ladder::start(AbortReason::Timeout, Duration::from_millis(500), start);
        assert_eq!(ladder.push(start), None);
        assert_eq!(ladder.patience(start), Duration::from_millis(500));
        let mut now = start + Duration::from_millis(500);
        for expected in [Push::Terminate, Push::Kill, Push::GiveUp] {
            assert_eq!(ladder.push(now), Some(expected));
            assert_eq!(ladder.push(now), None);
            now += ladder.patience(now);
        }
    }
}
