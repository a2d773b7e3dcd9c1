//! Runs, plugins, hooks, and how the daemon is.

use protocol::{HookList, HookOrigin, PluginList, RefusedLibrary, RunList, Status, Validation};

use super::paint::{Paint, Tone, harmless};
use super::reload;
use super::report::{reason, run_tone};
use super::table::{Cell, Table};
use super::units::{count, date_time, duration, size};

/// Lists runs.
pub fn runs(list: &RunList, paint: Paint) -> String {
    let mut table = Table::new(&["run", "pipeline", "state", "submitted", ">time", ">nodes", "remarks"]);
    for run in &list.runs {
        let counts = &run.counts;
        let cause = run.cause.as_ref().map(|cause| match &cause.node {
            Some(node) => format!("{node}: {}", reason(cause)),
            None => reason(cause),
        });
        let origin = run.resumed_from.as_ref().map(|before| format!("goes on with {before}"));
        let remarks: Vec<String> = origin.into_iter().chain(cause).collect();
        table.row(vec![
            Cell::new(Tone::Strong, run.id.as_str()),
            run.pipeline.as_str().into(),
            Cell::new(run_tone(run.state), run.state.as_str()),
            date_time(run.submitted_us).into(),
            run.duration_us().map(duration).unwrap_or_default().into(),
            format!("{}/{}", counts.succeeded, counts.total).into(),
            Cell::new(Tone::Faint, remarks.join("; ")),
        ]);
    }
    table.text(0, paint)
}

/// Lists plugins, the generations if there are several, then what was set aside and why.
pub fn plugins(list: &PluginList, paint: Paint) -> String {
    let mut table = Table::new(&["plugin", "version", ">nodes", "dataset types", "hooks", "library"]);
    for plugin in &list.plugins {
        let types: Vec<&str> = plugin.dataset_types.iter().map(|dataset| dataset.name.as_str()).collect();
        table.row(vec![
            Cell::new(Tone::Strong, plugin.name.as_str()),
            plugin.version.as_str().into(),
            plugin.nodes.len().to_string().into(),
            types.join(", ").into(),
            plugin.hooks.join(", ").into(),
            Cell::new(Tone::Faint, plugin.path.as_str()),
        ]);
    }
    let method =
        if list.start_method.is_empty() { String::new() } else { format!(", workers start by {}", list.start_method) };
    let mut text = table.text(0, paint);
    text.push_str(&format!(
        "\ngeneration {}: {}{method}\n",
        list.generation,
        count(list.plugins.len() as u64, "plugin")
    ));
    text.push_str(&reload::generations(&list.generations, paint));
    for one in &list.refused {
        text.push_str(&format!("{}: {}\n", paint.bad("refused"), set_aside(one, paint)));
    }
    for warning in &list.warnings {
        text.push_str(&format!("{}: {}\n", paint.warning("warning"), harmless(warning)));
    }
    text
}

/// Says of a library by itself that it was set aside, why, and what to do.
pub fn refused(library: &RefusedLibrary, paint: Paint) -> String {
    format!("a library is set aside: {}", set_aside(library, paint))
}

fn set_aside(library: &RefusedLibrary, paint: Paint) -> String {
    let mut text = format!("{}: {}", harmless(&library.path), harmless(library.reason.trim()));
    if !library.hint.is_empty() {
        text.push_str(&format!("\n  {}: {}", paint.hint("help"), harmless(library.hint.trim())));
    }
    text
}

/// Lists hooks: those that are called, in order, then those that are off and why.
pub fn hooks(list: &HookList, paint: Paint) -> String {
    let mut table = Table::new(&[">", "hook", "version", "from", "on error", ">deadline", "events"]);
    for hook in &list.hooks {
        let from = match hook.origin {
            HookOrigin::Configuration => "configuration",
            HookOrigin::Plugin => "its plugin",
            HookOrigin::Offered => "offered",
        };
        let deadline = i64::try_from(hook.deadline_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        let (place, last) = if hook.active {
            (hook.position.to_string(), Cell::new(Tone::Plain, hook.events.join(", ")))
        } else {
            let why = hook.off_because.as_deref().unwrap_or("nothing turns it on");
            ("off".to_owned(), Cell::new(Tone::Notable, why))
        };
        table.row(vec![
            place.into(),
            Cell::new(Tone::Strong, hook.name.as_str()),
            hook.version.as_str().into(),
            from.into(),
            hook.on_error.as_str().into(),
            (if hook.active && hook.deadline_ms > 0 { duration(deadline) } else { String::new() }).into(),
            last,
        ]);
    }
    table.text(0, paint)
}

/// Says how the daemon is.
pub fn status(status: &Status, paint: Paint) -> String {
    let state =
        paint.tone(if status.state == "running" { Tone::Good } else { Tone::Notable }, &harmless(&status.state));
    let mut text = format!(
        "dagd {} is {state}, process {}, up since {}\n",
        harmless(&status.version),
        status.pid,
        date_time(status.started_us)
    );
    let refused = if status.plugins_refused > 0 {
        format!(", {} set aside (ctl plugins tells why)", status.plugins_refused)
    } else {
        String::new()
    };
    let method = if status.start_method.is_empty() { String::new() } else { format!(", by {}", status.start_method) };
    let kept = if status.state_file.is_empty() { "in memory only" } else { status.state_file.as_str() };
    let blocks = &status.blocks;
    let budget = if blocks.budget_bytes > 0 { format!(" of {}", size(blocks.budget_bytes)) } else { String::new() };
    let spare =
        if blocks.spare_bytes > 0 { format!("; {} kept for others", size(blocks.spare_bytes)) } else { String::new() };
    for (name, value) in [
        ("plugins", format!("generation {}, {} loaded{refused}", status.generation, status.plugins)),
        (
            "runs",
            format!(
                "{} running, {} queued, {} finished; kept {}",
                status.runs.running,
                status.runs.queued,
                status.runs.finished,
                harmless(kept)
            ),
        ),
        ("blocks", format!("{}, {}{budget}{spare}", blocks.count, size(blocks.bytes))),
        ("workers", format!("{}{method}", status.workers.len())),
    ] {
        text.push_str(&format!("  {name:<8} {value}\n"));
    }
    let mut table = Table::new(&[">worker", ">process", "state", "task", ">restarts"]);
    for worker in &status.workers {
        table.row(vec![
            worker.number.to_string().into(),
            (if worker.pid == 0 { String::new() } else { worker.pid.to_string() }).into(),
            Cell::new(if worker.state == "down" { Tone::Bad } else { Tone::Plain }, worker.state.as_str()),
            worker.task.clone().unwrap_or_default().into(),
            (if worker.restarts == 0 { String::new() } else { worker.restarts.to_string() }).into(),
        ]);
    }
    if !table.is_empty() {
        text.push('\n');
        text.push_str(&table.text(2, paint));
    }
    text
}

/// Says that a pipeline is sound.
pub fn validation(validation: &Validation, paint: Paint) -> String {
    format!(
        "{} is {}: {}, {}, checked against generation {}\n",
        paint.strong(&harmless(&validation.pipeline)),
        paint.tone(Tone::Good, "sound"),
        count(validation.nodes, "node"),
        count(validation.datasets, "dataset"),
        validation.generation
    )
}

#[cfg(test)]
mod tests;
