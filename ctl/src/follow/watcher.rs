//! How a run is shown while it goes on.

use protocol::{RunDetail, RunSummary};

use super::interrupts::Interrupt;
use crate::client::events::Received;
use crate::error::Error;
use crate::render::bars::Bars;
use crate::render::progress::Tally;
use crate::screen::Screen;

/// How a run is shown while it goes on.
pub enum Watcher {
    /// Not at all.
    Silent,
    /// Each event as a line of JSON.
    Json,
    /// A line for what matters, for logs and pipes.
    Lines(Tally),
    /// Bars, on a terminal.
    Bars(Box<Bars>),
}

impl Watcher {
    /// Picks what suits the screen.
    pub fn suited(screen: &Screen, summary: &RunSummary, quiet: bool) -> Watcher {
        if screen.json {
            Watcher::Json
        } else if quiet {
            Watcher::Silent
        } else if screen.err_is_terminal {
            Watcher::Bars(Box::new(Bars::new(summary, screen.err_paint)))
        } else {
            Watcher::Lines(Tally::new(summary))
        }
    }

    pub(super) fn event(&mut self, received: &Received, screen: &mut Screen) -> Result<(), Error> {
        match self {
            Watcher::Silent => {}
            Watcher::Json => screen.print_json_line(&received.raw)?,
            Watcher::Lines(tally) => {
                if let Some(line) = tally.line(&received.event, screen.err_paint) {
                    screen.note(&line);
                }
            }
            Watcher::Bars(bars) => bars.event(&received.event),
        }
        Ok(())
    }

    pub(super) fn resynchronise(&mut self, detail: &RunDetail) {
        match self {
            Watcher::Silent | Watcher::Json => {}
            Watcher::Lines(tally) => tally.resynchronise(detail),
            Watcher::Bars(bars) => bars.resynchronise(detail),
        }
    }

    /// Says something while bars may be moving.
    pub(super) fn note(&mut self, text: &str, screen: &mut Screen) {
        match self {
            Watcher::Bars(bars) => bars.say(text),
            _ => screen.note(text),
        }
    }

    pub(super) fn tick(&mut self) {
        if let Watcher::Bars(bars) = self {
            bars.tick();
        }
    }

    pub(super) fn close(&mut self) {
        if let Watcher::Bars(bars) = self {
            bars.close();
        }
    }

    /// Puts right what the terminal shows after an interrupt.
    pub(super) fn interrupted(&mut self, interrupt: Interrupt) {
        if let (Watcher::Bars(bars), Interrupt::Keyboard) = (self, interrupt) {
            bars.forget_echo();
        }
    }
}
