//! Text to [`Config`]: the defaults, overlaid by the user's file, with every problem.

use std::path::{Path, PathBuf};

use protocol::Problem;
use toml::de::{DeTable, DeValue};

use super::pins::Pins;
use super::toml_reader::{FromToml, Reader, Section, Wrong, nearest};
use super::{
    BlocksConfig, Config, DEFAULT_TEXT, HookConfig, HookErrorPolicy, HookOrder, HooksConfig, LogConfig, PluginsConfig,
    RunsConfig, ServerConfig, WorkersConfig,
};
use crate::ipc::message::StartMethod;

/// Gives the value of an environment variable.
pub type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

impl Default for Config {
    /// The values of the default file.
    fn default() -> Config {
        let mut config = Config {
            server: ServerConfig::default(),
            plugins: PluginsConfig::default(),
            workers: WorkersConfig {
                count: 0,
                start_method: StartMethod::Fork,
                memory_max_bytes: 0,
                processes_max: 0,
                open_files_max: 0,
                cancel_grace_ms: 0,
                start_timeout_ms: 0,
            },
            hooks: HooksConfig::default(),
            runs: RunsConfig::default(),
            blocks: BlocksConfig::default(),
            log: LogConfig { level: log::LevelFilter::Info },
            private: false,
            managed_socket: false,
        };
        let problems = config.overlay("default-config.toml", DEFAULT_TEXT, Path::new(""), &|_| None);
        // A test holds this: the file is part of the binary.
        debug_assert!(problems.is_empty(), "{problems:?}");
        config
    }
}

impl Config {
    /// Reads a file over the defaults, or says everything that is wrong with it.
    pub fn load(file: &Path, environment: &Environment<'_>) -> Result<Config, Vec<Problem>> {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).map_err(|error| {
            let message = format!("cannot read the configuration {name}: {error}");
            let hint = "name an existing, readable file with --config, or leave it out to use the defaults";
            vec![problem("unreadable-file", message, hint)]
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            let message = format!("the configuration {name} is not UTF-8: line {line} has a byte that is no text");
            vec![problem("not-utf8", message, "save the file as UTF-8")]
        })?;
        let base = file.parent().unwrap_or(Path::new(""));
        Config::parse(&name, &text, base, environment)
    }

    /// Reads a text over the defaults; relative paths in it are relative to `base`.
    pub fn parse(name: &str, text: &str, base: &Path, environment: &Environment<'_>) -> Result<Config, Vec<Problem>> {
        let mut config = Config::default();
        let problems = config.overlay(name, text, base, environment);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    fn overlay(&mut self, name: &str, text: &str, base: &Path, environment: &Environment<'_>) -> Vec<Problem> {
        let mut reader = Reader::new(name, text, environment);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let offset = error.span().map(|span| span.start);
            reader.report("bad-toml", format!("not TOML: {}", error.message()), offset, None);
        }
        // What could not be parsed would only be reported again as missing or unknown.
        if errors.is_empty() {
            self.read(table.get_ref(), base, &mut reader);
        }
        reader.into_problems()
    }

    fn read(&mut self, table: &DeTable<'_>, base: &Path, r: &mut Reader<'_>) {
        let mut root = Section::root(table);

        let mut server = root.section("server", r);
        read_path(&mut server, "socket", &mut self.server.socket, base, r);
        read_path(&mut server, "state_directory", &mut self.server.state_directory, base, r);
        server.read("group", &mut self.server.group, r);
        server.read("allowed_uids", &mut self.server.allowed_uids, r);
        server.read_at_least("connections_max", 1, &mut self.server.connections_max, r);
        server.read("drain_timeout_ms", &mut self.server.drain_timeout_ms, r);
        server.finish(r);

        let mut plugins = root.section("plugins", r);
        let mut directories: Vec<String> = Vec::new();
        plugins.read("directories", &mut directories, r);
        self.plugins.directories = directories.iter().map(|directory| base.join(directory)).collect();
        plugins.read_at_least("load_timeout_ms", 1, &mut self.plugins.load_timeout_ms, r);
        plugins.read("watch", &mut self.plugins.watch, r);
        plugins.read("protect_pipelines", &mut self.plugins.protect_pipelines, r);
        let mut allow = Pins::default();
        plugins.read("allow", &mut allow, r);
        self.plugins.allow = allow.0;
        plugins.finish(r);

        let mut workers = root.section("workers", r);
        workers.read("count", &mut self.workers.count, r);
        workers.read("start_method", &mut self.workers.start_method, r);
        workers.read("memory_max_bytes", &mut self.workers.memory_max_bytes, r);
        workers.read("processes_max", &mut self.workers.processes_max, r);
        workers.read_at_least("open_files_max", 64, &mut self.workers.open_files_max, r);
        workers.read("cancel_grace_ms", &mut self.workers.cancel_grace_ms, r);
        workers.read_at_least("start_timeout_ms", 1, &mut self.workers.start_timeout_ms, r);
        workers.finish(r);

        let mut hooks = root.section("hooks", r);
        hooks.read("enabled", &mut self.hooks.enabled, r);
        hooks.read("disabled_plugins", &mut self.hooks.disabled_plugins, r);
        for (name, mut settings) in hooks.section("settings", r).sections(r) {
            let mut hook = HookConfig::default();
            settings.read("on_error", &mut hook.on_error, r);
            settings.read_at_least("deadline_ms", 1, &mut hook.deadline_ms, r);
            settings.read("order", &mut hook.order, r);
            let mut options = Options(hook.options);
            settings.read("options", &mut options, r);
            hook.options = options.0;
            settings.finish(r);
            self.hooks.settings.insert(name, hook);
        }
        hooks.finish(r);

        let mut runs = root.section("runs", r);
        runs.read("automatic_resumes_max", &mut self.runs.automatic_resumes_max, r);
        runs.read("keep_count", &mut self.runs.keep_count, r);
        runs.read("keep_days", &mut self.runs.keep_days, r);
        runs.read_at_least("keep_outputs_seconds", 1, &mut self.runs.keep_outputs_seconds, r);
        runs.read("keep_outputs_bytes", &mut self.runs.keep_outputs_bytes, r);
        runs.read_at_least("log_lines_max", 1, &mut self.runs.log_lines_max, r);
        runs.read_at_least("events_max", 1, &mut self.runs.events_max, r);
        runs.finish(r);

        let mut blocks = root.section("blocks", r);
        blocks.read("memory_budget_bytes", &mut self.blocks.memory_budget_bytes, r);
        blocks.read("spare_bytes_max", &mut self.blocks.spare_bytes_max, r);
        blocks.read("spare_keep_seconds", &mut self.blocks.spare_keep_seconds, r);
        blocks.read_at_least("uploads_max", 1, &mut self.blocks.uploads_max, r);
        blocks.read_at_least("uploads_keep_seconds", 1, &mut self.blocks.uploads_keep_seconds, r);
        blocks.finish(r);

        let mut log = root.section("log", r);
        log.read("level", &mut self.log.level, r);
        log.finish(r);

        root.finish(r);
    }
}

/// The keys of a text that knows none: what [`Config::read`] asks for. For the test that each is documented.
#[cfg(test)]
pub(super) fn all_keys() -> Vec<String> {
    let mut reader = Reader::new("", "", &|_| None);
    let text = "[hooks.settings.a]";
    let (table, _) = DeTable::parse_recoverable(text);
    Config::default().read(table.get_ref(), Path::new(""), &mut reader);
    reader.into_asked()
}

fn problem(code: &str, message: String, hint: &str) -> Problem {
    Problem { code: code.to_owned(), message, place: None, causes: Vec::new(), hints: vec![hint.to_owned()] }
}

/// Reads a path; the empty one stays empty and means "the usual place".
fn read_path(section: &mut Section<'_>, key: &'static str, target: &mut PathBuf, base: &Path, r: &mut Reader<'_>) {
    let mut text = String::new();
    section.read(key, &mut text, r);
    if text.starts_with('@') {
        // An abstract socket address, no file.
        *target = PathBuf::from(text);
    } else if !text.is_empty() {
        *target = base.join(text);
    }
}

/// A hook's options: a table.
struct Options(serde_json::Value);

impl FromToml for Options {
    fn expected() -> String {
        "a table".to_owned()
    }

    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<Options>, Wrong> {
        if !value.is_table() {
            return Ok(None);
        }
        Ok(serde_json::Value::from_toml(value, reader)?.map(Options))
    }
}

/// Defines how the words of a small choice are read.
macro_rules! choice {
    ($choice:ty { $($word:literal => $value:expr),* $(,)? }) => {
        impl FromToml for $choice {
            fn expected() -> String {
                let words = [$(concat!("\"", $word, "\"")),*];
                let (last, others) = words.split_last().unwrap_or((&"", &[]));
                format!("{} or {last}", others.join(", "))
            }

            fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<$choice>, Wrong> {
                let Some(word) = String::from_toml(value, reader)? else { return Ok(None) };
                match word.as_str() {
                    $($word => Ok(Some($value)),)*
                    _ => {
                        let message = format!("must be {}, not {word:?}", Self::expected());
                        let wrong = Wrong::new("unknown-word", message);
                        Err(match nearest(&word, &[$($word),*]) {
                            Some(meant) => wrong.hint(format!("did you mean {meant:?}?")),
                            None => wrong,
                        })
                    }
                }
            }
        }
    };
}

choice!(StartMethod { "fork" => StartMethod::Fork, "spawn" => StartMethod::Spawn });
choice!(HookErrorPolicy { "fail" => HookErrorPolicy::Fail, "ignore" => HookErrorPolicy::Ignore });
choice!(HookOrder { "" => HookOrder::AsDeclared, "first" => HookOrder::First, "last" => HookOrder::Last });
choice!(log::LevelFilter {
    "off" => log::LevelFilter::Off,
    "error" => log::LevelFilter::Error,
    "warn" => log::LevelFilter::Warn,
    "info" => log::LevelFilter::Info,
    "debug" => log::LevelFilter::Debug,
    "trace" => log::LevelFilter::Trace,
});
