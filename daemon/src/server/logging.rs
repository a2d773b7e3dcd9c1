//! The daemon's own log: journal entries with fields under systemd, elsewhere lines on stderr.
//!
//! Where systemd connected stderr to the journal (`JOURNAL_STREAM`), records go to it natively: the key-values of a record become
//! fields (`RUN_ID`, `NODE`, `PLUGIN`, `WORKER`), so `journalctl -u dagd RUN_ID=…` is one run's story, and what nodes log and print is
//! in it. Should journald not answer, lines go to stderr with their level as `<N>`, which it understands as well. On a
//! terminal each line has its time (UTC) and level; there the lines of nodes are for `ctl logs`, and only `debug` shows them.
#![forbid(unsafe_code)]

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use log::kv::Value;
use log::{Level, LevelFilter, Metadata, Record};
use protocol::{EventKind, LogLine, LogSource};
use systemd_journal_logger::JournalLog;

/// Whether records go to the journal as entries with fields.
static NATIVE: AtomicBool = AtomicBool::new(false);

/// So many of something: `1 node`, `3 nodes`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Starts logging. A second call, as in tests, changes nothing but the level.
pub fn start(level: LevelFilter) {
    let journal = goes_to_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    if journal && start_native(level) {
        return;
    }
    let started = env_logger::Builder::new()
        // What is said at all is `set_level`'s, which may change.
        .filter_level(LevelFilter::Trace)
        // Chatter of the HTTP library is of no use to operators.
        .filter_module("hyper", LevelFilter::Warn)
        .format(move |out, record| if journal { for_journal(out, record) } else { for_terminal(out, record) })
        .try_init();
    if started.is_err() {
        log::debug!("logging was started before");
    }
    set_level(level);
}

/// Says what is logged from now on.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Starts sending records to journald; false if it does not answer.
fn start_native(level: LevelFilter) -> bool {
    let Ok(journal) = JournalLog::empty() else { return false };
    let journal = journal.with_syslog_identifier("dagd".to_owned());
    let started = log::set_boxed_logger(Box::new(Native { journal })).is_ok();
    if started {
        log::set_max_level(level);
        NATIVE.store(true, Ordering::Relaxed);
    }
    started
}

/// Sends records to journald.
struct Native {
    journal: JournalLog,
}

impl log::Log for Native {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Chatter of the HTTP library is of no use to operators.
        let is_foreign = metadata.target().starts_with("hyper");
        metadata.level() <= if is_foreign { LevelFilter::Warn } else { LevelFilter::Trace }
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.journal.log(record);
        }
    }

    fn flush(&self) {}
}

/// Logs what a node, a dataset or a hook of a run said.
pub fn line_of_run(run: &str, line: &LogLine) {
    let node = line.node.as_deref();
    if !NATIVE.load(Ordering::Relaxed) {
        log::debug!(target: "run", "{run} {}: {}", node.unwrap_or("-"), line.message);
        return;
    }
    let level = line.level.parse().unwrap_or(Level::Info);
    let source = match line.source {
        LogSource::Output => "output",
        LogSource::Log | LogSource::Daemon => "log",
    };
    // What is not known is no field at all; the macros could only leave it empty.
    let mut fields = vec![("RUN_ID", Value::from(run)), ("SOURCE", Value::from(source))];
    fields.extend(node.map(|node| ("NODE", Value::from(node))));
    fields.extend(line.plugin.as_deref().map(|plugin| ("PLUGIN", Value::from(plugin))));
    fields.extend(line.worker.map(|worker| ("WORKER", Value::from(worker))));
    let target = if line.target.is_empty() { "run" } else { &line.target };
    let mut record = Record::builder();
    record.level(level).target(target).key_values(&fields);
    if level <= log::max_level() {
        log::logger().log(&record.args(format_args!("{}", line.message)).build());
    }
}

/// Whether the log is to tell of each node that begins or ends.
pub fn tells_nodes() -> bool {
    NATIVE.load(Ordering::Relaxed) && log::log_enabled!(target: "run", log::Level::Debug)
}

/// Logs what happened in a run, where the log is its story.
pub fn event_of_run(run: &str, event: &EventKind) {
    if !NATIVE.load(Ordering::Relaxed) {
        return;
    }
    match event {
        EventKind::NodeFailed { node, failure, will_retry_in_ms, .. } => {
            let next = if will_retry_in_ms.is_some() { "; it is tried again" } else { "" };
            let plugin = failure.plugin.as_deref().unwrap_or_default();
            log::warn!(target: "run", RUN_ID = run, NODE = node.as_str(), PLUGIN = plugin; "{node} failed: {}{next}", failure.message);
        }
        EventKind::DatasetFailed { dataset, failure, .. } => {
            log::warn!(target: "run", RUN_ID = run, DATASET = dataset.as_str(); "dataset {dataset} failed: {}", failure.message);
        }
        EventKind::NodeStarted { node, worker, .. } => {
            log::debug!(target: "run", RUN_ID = run, NODE = node.as_str(), WORKER = *worker; "{node} started");
        }
        EventKind::NodeFinished { node, duration_us, .. } => {
            log::debug!(target: "run", RUN_ID = run, NODE = node.as_str(); "{node} finished after {} ms", duration_us / 1000);
        }
        EventKind::NodeSkipped { node, because } => {
            log::info!(target: "run", RUN_ID = run, NODE = node.as_str(); "{node} is skipped: {because}");
        }
        _ => {}
    }
}

/// Whether stderr is the stream that systemd connected to the journal, and not something it was redirected to since: the
/// variable names the stream by device and inode.
fn goes_to_journal(variable: Option<&str>) -> bool {
    let stderr = std::fs::metadata("/proc/self/fd/2").map(|stream| format!("{}:{}", stream.dev(), stream.ino()));
    stderr.is_ok_and(|stderr| variable == Some(stderr.as_str()))
}

/// Says on stderr why the daemon gives up.
pub fn complain(message: &str, hint: &str) {
    write_line(&format!("error: {message}"));
    if !hint.is_empty() {
        write_line(&format!("  help: {hint}"));
    }
}

/// Writes a line on stderr; a terminal that is gone is nothing to complain about.
pub fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn for_journal(out: &mut impl Write, record: &Record<'_>) -> std::io::Result<()> {
    let priority = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    // Every line of a message gets its level, or the journal would take the rest for another message.
    for line in record.args().to_string().lines() {
        writeln!(out, "<{priority}>{line}")?;
    }
    Ok(())
}

fn for_terminal(out: &mut impl Write, record: &Record<'_>) -> std::io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    writeln!(out, "{} {:<5} {}", time_text(since.as_millis()), record.level(), record.args())
}

/// `2026-07-14T09:26:53.589Z`, from milliseconds since the epoch.
fn time_text(milliseconds: u128) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The date of a day since 1970-01-01, in the Gregorian calendar. Counts from 1 March of year 0, so that a leap day is the
/// last of its year, and years come in eras of 400.
fn date_of(days: u128) -> (u128, u128, u128) {
    const DAYS_OF_ERA: u128 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u128::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        // Compared with `date -u -d @…`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time_text(seconds * 1000), text);
        }
        assert_eq!(time_text(1_589), "1970-01-01T00:00:01.589Z");
    }

    #[test]
    fn the_journal_is_told_from_any_other_stream() {
        assert!(!goes_to_journal(None));
        assert!(!goes_to_journal(Some("0:0")));
        let own = std::fs::metadata("/proc/self/fd/2").expect("stderr is open");
        assert!(goes_to_journal(Some(&format!("{}:{}", own.dev(), own.ino()))));
    }

    #[test]
    fn every_line_for_the_journal_has_its_level() {
        let mut out = Vec::new();
        let written =
            for_journal(&mut out, &Record::builder().level(Level::Warn).args(format_args!("one\ntwo")).build());
        assert!(written.is_ok());
        assert_eq!(String::from_utf8_lossy(&out), "<4>one\n<4>two\n");
    }
}
