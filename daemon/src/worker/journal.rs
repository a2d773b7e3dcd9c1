//! Where the log records of plugins go: to whichever process this one has become.
//!
//! A plugin is given the same [`Journal`] whether it was loaded before a fork or after; what is behind it changes with
//! [`install`]. Before that, in the zygote, records go to stderr, which is the generation's output pipe.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use log::{Level, LevelFilter};
use plugin_api::abi::HostServices;
use serde::Serialize;

use crate::ipc::message::LogRecord;
use crate::ipc::to_server::ToServer;

/// A message longer than this is cut: the log is for people, and a record must fit into a packet.
const MESSAGE_MAX: usize = 16 * 1024;

/// Takes log records.
pub trait Sink: Send + Sync {
    /// Takes one. May be called from any thread.
    fn take(&self, record: LogRecord);
}

impl<M: Serialize + From<LogRecord>> Sink for ToServer<M> {
    fn take(&self, record: LogRecord) {
        // Without a server there is nobody to read it; the main loop notices that by itself.
        let _ = self.send(&record.into(), &[]);
    }
}

static SINK: RwLock<Option<Box<dyn Sink>>> = RwLock::new(None);
static LEVEL_MAX: AtomicU8 = AtomicU8::new(LevelFilter::Info as u8);
static TOKEN: AtomicU64 = AtomicU64::new(0);

/// From now on, records go there.
pub fn install(sink: Box<dyn Sink>) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Some(sink);
}

/// The most talkative level that is wanted, as on the wire: 0 off, 1 error … 5 trace.
pub fn set_level(level: u8) {
    LEVEL_MAX.store(level, Ordering::Relaxed);
}

/// The task whose records those from now on are; 0 for none.
pub fn set_token(token: u64) {
    TOKEN.store(token, Ordering::Relaxed);
}

/// The services of this process for the plugins in it.
pub enum Journal {}

impl HostServices for Journal {
    fn log(level: Level, target: &str, message: &str) {
        let record = LogRecord {
            level: level as u8,
            target: cut(target),
            message: cut(message),
            token: TOKEN.load(Ordering::Relaxed),
        };
        match &*SINK.read().unwrap_or_else(PoisonError::into_inner) {
            Some(sink) => sink.take(record),
            None => eprintln!("{level} {}: {}", record.target, record.message),
        }
    }

    fn log_level_max() -> LevelFilter {
        match LEVEL_MAX.load(Ordering::Relaxed) {
            0 => LevelFilter::Off,
            1 => LevelFilter::Error,
            2 => LevelFilter::Warn,
            3 => LevelFilter::Info,
            4 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        }
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MESSAGE_MAX {
        return text.to_owned();
    }
    let kept = text.get(..text.floor_char_boundary(MESSAGE_MAX)).unwrap_or_default();
    format!("{kept} … ({} more bytes)", text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(cut("short"), "short");
        let text = cut(&"ä".repeat(MESSAGE_MAX));
        assert!(text.ends_with(&format!("({} more bytes)", MESSAGE_MAX)) && text.len() < MESSAGE_MAX + 40);
    }
}
