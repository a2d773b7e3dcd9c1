//! What systemd wants to hear: `sd_notify`, in the few lines it takes, and the watchdog.
//!
//! The protocol is one datagram of `NAME=value` lines to the socket that `$NOTIFY_SOCKET` names; without it nothing is
//! sent. A message that cannot be sent is logged and otherwise ignored: the daemon works as well without systemd.
#![forbid(unsafe_code)]

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Says that the daemon serves, and in a sentence how it is.
pub fn ready(status: &str) {
    notify(&format!("READY=1\nSTATUS={status}"));
}

/// Says in a sentence how the daemon is.
pub fn status(status: &str) {
    notify(&format!("STATUS={status}"));
}

/// Says that the daemon is ending.
pub fn stopping(status: &str) {
    notify(&format!("STOPPING=1\nSTATUS={status}"));
}

fn notify(message: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    let Some(socket) = socket.to_str() else {
        log::warn!("NOTIFY_SOCKET is not UTF-8; systemd is told nothing");
        return;
    };
    if let Err(error) = send(socket, message) {
        log::warn!("cannot tell systemd through {socket}: {error}");
    }
}

fn send(socket: &str, message: &str) -> std::io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // systemd's queue may be full; the daemon does not wait for it.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

/// Tells systemd that the control thread still turns, from that very thread; stops when dropped.
#[derive(Debug)]
pub struct Watchdog {
    task: JoinHandle<()>,
}

impl Watchdog {
    /// Starts, if systemd asks for it (`WatchdogSec=`). To be called on the control thread.
    pub fn start() -> Option<Watchdog> {
        let usec = std::env::var("WATCHDOG_USEC").ok();
        let pid = std::env::var("WATCHDOG_PID").ok();
        let period = watchdog_period(usec.as_deref(), pid.as_deref(), std::process::id())?;
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                ticks.tick().await;
                notify("WATCHDOG=1");
            }
        });
        Some(Watchdog { task })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Half of the time that systemd waits, as its manual advises.
fn watchdog_period(usec: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let usec: u64 = usec?.parse().ok()?;
    (usec >= 2).then(|| Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_message_arrives_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("dagd-notify-test-{}", std::process::id());
        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (receiver, address) in [(at_path, path.to_str().unwrap().to_owned()), (at_name, format!("@{name}"))] {
            send(&address, "READY=1").unwrap();
            let mut buffer = [0; 64];
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1");
        }
        assert!(send("/no/such/socket", "READY=1").is_err());
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_asked() {
        let period = |usec, pid| watchdog_period(usec, pid, 7);
        assert_eq!(period(Some("3000000"), Some("7")), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("3000000"), None), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("3000000"), Some("8")), None, "meant for another process");
        assert_eq!(period(Some("soon"), None), None);
        assert_eq!(period(None, None), None);
    }
}
