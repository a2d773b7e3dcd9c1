//! Lines that nodes have logged or printed.

use protocol::{LogLine, LogSource};

use super::paint::{Paint, Tone, harmless};
use super::units;

/// Writes a line as `ctl logs` shows it: when, how grave, who, what.
pub fn line(line: &LogLine, paint: Paint) -> String {
    let time = paint.faint(&units::time_of_day(line.time_us));
    format!("{time} {}", said(line, paint))
}

/// Writes a line as it is shown in between while a run goes on.
pub fn aside(line: &LogLine, paint: Paint) -> String {
    format!("  {}", said(line, paint))
}

fn said(line: &LogLine, paint: Paint) -> String {
    let (word, tone) = match (line.source, line.level.as_str()) {
        (LogSource::Output, _) => ("out", Tone::Faint),
        (_, "error") => ("error", Tone::Bad),
        (_, "warn") => ("warn", Tone::Notable),
        (_, level) => (level, Tone::Faint),
    };
    let who = match (&line.node, line.source) {
        (Some(node), _) => harmless(node).into_owned(),
        (None, LogSource::Daemon) => "dagd".to_owned(),
        (None, _) => match (&line.plugin, line.worker) {
            // Of a hook the target is its whole name.
            (Some(plugin), None) if line.target.strip_prefix(plugin).is_some_and(|rest| rest.starts_with("::")) => {
                harmless(&line.target).into_owned()
            }
            (Some(plugin), _) => harmless(plugin).into_owned(),
            (None, Some(worker)) => format!("worker {worker}"),
            (None, None) => "-".to_owned(),
        },
    };
    let message = harmless(line.message.trim_end()).replace('\n', "\n    ");
    format!("{} {}: {message}", paint.tone(tone, &format!("{:5}", harmless(word))), paint.strong(&who))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_how_grave_who_and_what() {
        let mut one = LogLine {
            number: 1,
            time_us: 3_723_004_999,
            level: "warn".into(),
            source: LogSource::Log,
            node: Some("train_EWR".into()),
            plugin: Some("flights".into()),
            worker: Some(2),
            target: "flights::train".into(),
            message: "few rows\nonly 3\n".into(),
        };
        let plain = Paint::new(false);
        assert_eq!(line(&one, plain), "01:02:03.004 warn  train_EWR: few rows\n    only 3");
        one.source = LogSource::Output;
        one.node = None;
        one.message = "\x1b[2J".into();
        assert_eq!(line(&one, plain), "01:02:03.004 out   flights: \\u{1b}[2J");
        one.plugin = None;
        assert_eq!(aside(&one, plain), "  out   worker 2: \\u{1b}[2J");
        // A hook.
        one = LogLine { plugin: Some("tides".into()), worker: None, target: "tides::Slowest".into(), ..one };
        assert_eq!(aside(&one, plain), "  out   tides::Slowest: \\u{1b}[2J");
    }
}
