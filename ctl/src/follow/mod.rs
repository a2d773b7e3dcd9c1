//! Watches a run until it is over, or until the user has seen enough.

mod interrupts;
mod watcher;

use std::time::Duration;

use protocol::{EventKind, RunDetail, RunSummary, exit, path};
use serde_json::json;

use self::interrupts::Interrupt;
pub use self::interrupts::Interrupts;
pub use self::watcher::Watcher;
use crate::client::Client;
use crate::client::events::{Events, Next, Received};
use crate::error::Error;
use crate::screen::Screen;

/// How the watching ended.
#[derive(Debug)]
pub enum Ended {
    /// The run is over.
    Finished(Box<RunDetail>),
    /// The user left; the run goes on.
    Left,
    /// The user insisted: the run was asked to stop and is not waited for.
    Abandoned,
}

/// What an interrupt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// Stop watching.
    Leave,
    /// Cancel the run; the second time, do not wait for it.
    Cancel,
}

/// Bars move this often.
const TICK: Duration = Duration::from_millis(100);

/// How often, and how far apart, a lost connection is tried again: a daemon that restarts is back within that.
const RECONNECTS_MAX: u32 = 40;
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// Follows a run to its end.
pub async fn follow(
    client: &Client,
    id: &str,
    watcher: &mut Watcher,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    may_reconnect: bool,
    screen: &mut Screen,
) -> Result<Ended, Error> {
    let mut following = Following { client, id, watcher, interrupts, on_interrupt, screen, seen: 0, cancelling: false };
    let outcome = following.until_over(may_reconnect).await;
    following.watcher.close();
    match outcome? {
        Some(ended) => Ok(ended),
        None => Ok(Ended::Finished(Box::new(finished(client, id).await?))),
    }
}

/// Fetches the report of a run whose last event was seen; waits a moment should it not be written yet.
async fn finished(client: &Client, id: &str) -> Result<RunDetail, Error> {
    for _ in 0..100 {
        let detail: RunDetail = client.get(&path::run(id)).await?;
        if detail.summary.state.is_final() {
            return Ok(detail);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Error::new(
        exit::INTERNAL,
        "unfinished",
        format!("the daemon said that run {id} is over, but lists it as going on"),
    )
    .hint(format!("`ctl show {id}` may know more in a while")))
}

struct Following<'a> {
    client: &'a Client,
    id: &'a str,
    watcher: &'a mut Watcher,
    interrupts: &'a mut Interrupts,
    on_interrupt: OnInterrupt,
    screen: &'a mut Screen,
    /// Number of the last event seen; the next connection goes on after it.
    seen: u64,
    cancelling: bool,
}

/// What one connection came to.
enum Stretch {
    Over,
    Ended(Ended),
    Lost(String),
}

impl Following<'_> {
    /// None when the run is over.
    async fn until_over(&mut self, may_reconnect: bool) -> Result<Option<Ended>, Error> {
        let mut failures = 0;
        loop {
            let seen_before = self.seen;
            let why = match self.client.events(&path::run_events(self.id, self.seen)).await {
                Ok(events) => match self.stretch(events).await? {
                    Stretch::Over => return Ok(None),
                    Stretch::Ended(ended) => return Ok(Some(ended)),
                    Stretch::Lost(why) => why,
                },
                Err(error) if error.exit() == exit::UNREACHABLE && seen_before > 0 => "no daemon answers".to_owned(),
                Err(error) => return Err(error),
            };
            if self.seen > seen_before {
                failures = 0;
            }
            // The stream may end because there is nothing more to say.
            if let Ok(detail) = self.client.get::<RunDetail>(&path::run(self.id)).await
                && detail.summary.state.is_final()
            {
                return Ok(None);
            }
            failures += 1;
            if !may_reconnect || failures > RECONNECTS_MAX {
                return Err(self.lost(&why));
            }
            tokio::select! {
                () = tokio::time::sleep(RECONNECT_PAUSE) => {}
                interrupt = self.interrupts.next() => if let Some(ended) = self.interrupted(interrupt).await? {
                    return Ok(Some(ended));
                }
            }
        }
    }

    async fn stretch(&mut self, mut events: Events) -> Result<Stretch, Error> {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                // In this order: a flood of events must not drown a Ctrl-C.
                biased;
                interrupt = self.interrupts.next() => if let Some(ended) = self.interrupted(interrupt).await? {
                    return Ok(Stretch::Ended(ended));
                },
                next = events.next() => match next? {
                    Next::Event(received) => if self.event(&received).await? {
                        return Ok(Stretch::Over);
                    },
                    Next::End => return Ok(Stretch::Lost("the daemon ended the stream of events".to_owned())),
                    Next::Cut(why) => return Ok(Stretch::Lost(why)),
                },
                _ = ticks.tick() => self.watcher.tick(),
            }
        }
    }

    /// Shows an event; says whether it was the last.
    async fn event(&mut self, received: &Received) -> Result<bool, Error> {
        self.seen = self.seen.max(received.event.sequence);
        self.watcher.event(received, self.screen)?;
        match received.event.kind {
            EventKind::RunFinished { .. } => return Ok(true),
            EventKind::Missed { .. } => self.catch_up().await,
            _ => {}
        }
        Ok(false)
    }

    /// Some events are gone: the run itself tells where it stands.
    async fn catch_up(&mut self) {
        if let Ok(detail) = self.client.get::<RunDetail>(&path::run(self.id)).await {
            self.watcher.resynchronise(&detail);
        }
    }

    async fn interrupted(&mut self, interrupt: Interrupt) -> Result<Option<Ended>, Error> {
        self.watcher.interrupted(interrupt);
        if self.on_interrupt == OnInterrupt::Leave {
            return Ok(Some(Ended::Left));
        }
        if self.cancelling {
            return Ok(Some(Ended::Abandoned));
        }
        self.cancelling = true;
        self.watcher.note("cancelling the run; Ctrl-C again does not wait for it", self.screen);
        let _: RunSummary = self.client.post(&path::run_cancel(self.id), &json!({})).await?;
        Ok(None)
    }

    fn lost(&self, why: &str) -> Error {
        let id = self.id;
        Error::new(
            exit::UNREACHABLE,
            "connection-lost",
            format!("lost sight of run {id}: the daemon does not answer any more"),
        )
        .cause(why)
        .hint(format!("once a daemon is back, `ctl show {id}` tells what became of it"))
    }
}

#[cfg(test)]
mod tests;
