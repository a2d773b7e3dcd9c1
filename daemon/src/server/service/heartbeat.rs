//! Tells systemd that the daemon is well, from a thread that has just had proof of it.
//!
//! Each beat is a real request over a real connection: through the control thread and its router to a thread that goes
//! through the scheduler (every run's lock, every worker's slot, and the clock that wakes runs at their deadlines), and back.
//! Only then is `WATCHDOG=1` sent. A timer thread that feeds the watchdog would only prove that timers work. A daemon whose
//! control or scheduler hangs is killed by systemd after `WatchdogSec=` and started again.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::{Health, path};

use super::notify;
use crate::server::logging::counted;

/// How often the status is told when nobody asks for a watchdog.
const STATUS_PERIOD: Duration = Duration::from_secs(5);
/// While the daemon ends, runs are looked after this often, so that the manager's patience is renewed in time.
const STOPPING_PERIOD: Duration = Duration::from_secs(1);
/// By how much each beat extends the manager's patience while runs end.
const STOPPING_EXTENSION: Duration = Duration::from_secs(15);
/// No answer is longer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Hands a connection to the control thread.
pub type Pulse = Box<dyn Fn(UnixStream) -> bool + Send>;

/// The thread; ends when dropped.
#[derive(Debug)]
pub struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts, if there is a manager to tell. `connect` hands the other end of a connection to the control thread.
    pub fn start(connect: Pulse) -> Option<Heartbeat> {
        if !notify::is_managed() {
            return None;
        }
        let usec = std::env::var("WATCHDOG_USEC").ok();
        let pid = std::env::var("WATCHDOG_PID").ok();
        let watchdog = watchdog_period(usec.as_deref(), pid.as_deref(), std::process::id());
        let (stop, stopped) = channel();
        let beat = move || {
            let mut beat = Beat { connect, watchdog, told: String::new(), stopping: false };
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(beat.period()) {
                beat.beat();
            }
        };
        match std::thread::Builder::new().name("heartbeat".to_owned()).spawn(beat) {
            Ok(thread) => Some(Heartbeat { stop: Some(stop), thread: Some(thread) }),
            Err(error) => {
                log::error!(
                    "cannot start the heartbeat's thread: {error}; systemd will end the daemon if it has a watchdog"
                );
                None
            }
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It says what goes wrong in it by itself.
            let _ = thread.join();
        }
    }
}

struct Beat {
    connect: Pulse,
    /// How often the watchdog wants to hear of us, if it is on.
    watchdog: Option<Duration>,
    told: String,
    stopping: bool,
}

impl Beat {
    fn period(&self) -> Duration {
        let most = if self.stopping { STOPPING_PERIOD } else { STATUS_PERIOD };
        self.watchdog.map_or(most, |period| period.min(most))
    }

    fn beat(&mut self) {
        let begun = Instant::now();
        // A late answer is better than none: the manager decides when it is too late, not we.
        let patience = self.watchdog.map_or(STATUS_PERIOD, |period| period.saturating_mul(2)).max(STATUS_PERIOD);
        match self.ask(patience) {
            Ok(health) => self.tell(&health),
            Err(reason) => {
                log::error!("control and scheduler did not answer after {} ms: {reason}", begun.elapsed().as_millis())
            }
        }
    }

    fn tell(&mut self, health: &Health) {
        if self.watchdog.is_some() {
            notify::watchdog();
        }
        self.stopping = health.state == "stopping";
        if self.stopping {
            notify::extend_timeout(STOPPING_EXTENSION);
        }
        let status = in_words(health);
        if status != self.told {
            notify::status(&status);
            self.told = status;
        }
    }

    /// One round trip.
    fn ask(&self, patience: Duration) -> Result<Health, String> {
        let (mut ours, theirs) = UnixStream::pair().map_err(|error| format!("cannot make a connection: {error}"))?;
        ours.set_read_timeout(Some(patience)).map_err(|error| error.to_string())?;
        if !(self.connect)(theirs) {
            return Err("the control thread has ended".to_owned());
        }
        let request = format!("GET {} HTTP/1.1\r\nhost: dagd\r\nconnection: close\r\n\r\n", path::HEALTH);
        ours.write_all(request.as_bytes()).map_err(|error| format!("cannot ask: {error}"))?;
        let mut answer = Vec::new();
        ours.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(|error| format!("no answer: {error}"))?;
        read(&answer)
    }
}

/// Reads the answer: a status line, headers, an empty line, JSON.
fn read(answer: &[u8]) -> Result<Health, String> {
    let text = String::from_utf8_lossy(answer);
    let first = text.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) != Some("200") {
        return Err(format!("the answer was {first:?}"));
    }
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|error| format!("the answer is not understood: {error}"))
}

/// `2 runs under way, 1 waiting; 3 of 4 workers busy`.
fn in_words(health: &Health) -> String {
    let runs = match (health.runs.running, health.runs.queued) {
        (0, 0) => "no runs".to_owned(),
        (running, 0) => format!("{} under way", counted(running, "run")),
        (running, queued) => format!("{} under way, {queued} waiting", counted(running, "run")),
    };
    let stopping = if health.state == "stopping" { "stopping: " } else { "" };
    format!("{stopping}{runs}; {} of {} busy", health.workers_busy, counted(health.workers, "worker"))
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
    use super::*;
    use protocol::RunCounts;

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_asked() {
        let period = |usec, pid| watchdog_period(usec, pid, 7);
        assert_eq!(period(Some("3000000"), Some("7")), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("3000000"), None), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("3000000"), Some("8")), None, "meant for another process");
        assert_eq!(period(Some("soon"), None), None);
        assert_eq!(period(None, None), None);
    }

    #[test]
    fn the_status_is_a_sentence() {
        let mut health = Health { state: "running".to_owned(), workers: 2, ..Health::default() };
        assert_eq!(in_words(&health), "no runs; 0 of 2 workers busy");
        health.runs = RunCounts { running: 1, queued: 2, finished: 5 };
        health.workers_busy = 2;
        health.state = "stopping".to_owned();
        assert_eq!(in_words(&health), "stopping: 1 run under way, 2 waiting; 2 of 2 workers busy");
    }

    #[test]
    fn only_a_good_answer_is_a_sign_of_life() {
        let good = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"state\":\"running\"}";
        assert_eq!(read(good).map(|health| health.state).as_deref(), Ok("running"));
        assert!(read(b"HTTP/1.1 500 Internal Server Error\r\n\r\n{}").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read(b"").is_err());
    }
}
