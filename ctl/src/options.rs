//! `--config run.toml`: options of a command from a file, each named like its flag. What the command line says wins.
//!
//! The file is turned into arguments, so whatever flag a command has or gets can stand in it, with the same checks and the
//! same words about what is wrong with a value.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches};
use protocol::{ErrorDetail, Place, Problem, SourceText, exit};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::args::Args;
use crate::error::{Complaint, Error, closest};
use crate::source;

/// Flags that say nothing about what is to be done, so they have no place in the file.
const NOT_IN_FILES: [&str; 6] = ["config", "help", "json", "socket", "version", "detach"];
/// Tables of the daemon's configuration, which is another file.
const OF_THE_DAEMON: [&str; 5] = ["server", "hooks", "runs", "blocks", "log"];

/// Why there are no arguments.
#[derive(Debug)]
pub enum Refusal {
    /// The command line itself, or help that was asked for.
    Usage(clap::Error),
    /// The file of options.
    File(Error),
}

/// Takes the command line apart, and the file of options that it names.
pub fn parse(arguments: &[OsString]) -> Result<Args, Refusal> {
    let matches = Args::command()
        .try_get_matches_from(arguments)
        .map_err(|problem| Refusal::Usage(nearest_command(problem, arguments)))?;
    let Some((name, given, file)) = options_file(&matches) else {
        return Args::from_arg_matches(&matches).map_err(Refusal::Usage);
    };
    let source = source::read(&file, "the options").map_err(Refusal::File)?;
    let more = File::new(&source, name, given).arguments().map_err(Refusal::File)?;
    // Right behind the command's name: later values of an option that may be given several times go before earlier ones.
    let at = command_position(arguments, name);
    let mut all = arguments.to_vec();
    all.splice(at..at, more);
    let matches =
        Args::command().try_get_matches_from(&all).map_err(|problem| Refusal::File(in_file(&source, &problem)))?;
    Args::from_arg_matches(&matches).map_err(Refusal::Usage)
}

/// Says which command was probably meant. clap's own guess takes `r` for as near to `rnu` as `runs`, and misses `run`, as it
/// does not count two letters that changed places as one mistake.
fn nearest_command(mut problem: clap::Error, arguments: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(written)) = problem.get(ContextKind::InvalidSubcommand).cloned() else {
        return problem;
    };
    let all = Args::command();
    let mut above = &all;
    for argument in arguments.iter().skip(1).take_while(|argument| **argument != *written) {
        above = above.find_subcommand(argument).unwrap_or(above);
    }
    let names = above.get_subcommands().flat_map(|command| command.get_all_aliases().chain([command.get_name()]));
    if let Some(near) = closest(&written, names) {
        problem.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![near.to_owned()]));
    }
    problem
}

fn options_file(matches: &ArgMatches) -> Option<(&str, &ArgMatches, PathBuf)> {
    let (name, given) = matches.subcommand()?;
    let file = given.try_get_one::<PathBuf>("config").ok().flatten()?;
    Some((name, given, file.clone()))
}

/// Finds where the command's own arguments begin. What stands before its name are global options.
fn command_position(arguments: &[OsString], name: &str) -> usize {
    let aliases = Args::command()
        .find_subcommand(name)
        .map(|command| command.get_all_aliases().map(str::to_owned).chain([name.to_owned()]).collect::<Vec<_>>());
    let aliases = aliases.unwrap_or_default();
    let mut is_value = false;
    for (position, argument) in arguments.iter().enumerate().skip(1) {
        if !is_value && aliases.iter().any(|alias| argument == alias.as_str()) {
            return position + 1;
        }
        is_value = argument == "--socket";
    }
    arguments.len()
}

/// Says of what clap refuses that it stands in the file: without the file it was fine.
fn in_file(source: &SourceText, problem: &clap::Error) -> Error {
    let text = problem.render().to_string();
    let text = text.trim().trim_start_matches("error: ");
    let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
    let hints = rest
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let error = Error::new(exit::USAGE, "bad-options", format!("{}: {message}", source.name));
    hints.fold(error, |error, hint| error.hint(hint))
}

/// The file, and the command that it is for.
struct File<'f> {
    source: &'f SourceText,
    command: clap::Command,
    given: &'f ArgMatches,
    arguments: Vec<OsString>,
    problems: Vec<Problem>,
}

impl<'f> File<'f> {
    fn new(source: &'f SourceText, name: &str, given: &'f ArgMatches) -> Self {
        let mut all = Args::command();
        all.build();
        let command = all.find_subcommand(name).cloned().unwrap_or_default();
        File { source, command, given, arguments: Vec::new(), problems: Vec::new() }
    }

    /// Gives the arguments that stand for what the file says, or everything that is wrong with it.
    fn arguments(mut self) -> Result<Vec<OsString>, Error> {
        let (table, errors) = DeTable::parse_recoverable(&self.source.text);
        for error in &errors {
            let problem =
                self.problem(error.span().map(|span| span.start), format!("this is not TOML: {}", error.message()));
            self.problems.push(Problem { code: "not-toml".to_owned(), ..problem });
        }
        if errors.is_empty() {
            let mut entries: Vec<_> = table.into_inner().into_iter().collect();
            entries.sort_by_key(|(key, _)| key.span().start);
            entries.iter().for_each(|(key, value)| self.option(key, value));
        }
        if self.problems.is_empty() {
            return Ok(self.arguments);
        }
        let count = self.problems.len();
        let message = format!("{} has {count} problem{}", self.source.name, if count == 1 { "" } else { "s" });
        let detail =
            ErrorDetail { code: "bad-options".to_owned(), message, problems: self.problems, ..ErrorDetail::default() };
        Err(Error::Failed(Box::new(Complaint { exit: exit::USAGE, detail, sources: vec![self.source.clone()] })))
    }

    fn option(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let written = key.get_ref().as_ref();
        let long = written.replace('_', "-");
        let known = |argument: &&clap::Arg| {
            argument.get_long().is_some_and(|name| name == long && !NOT_IN_FILES.contains(&name))
        };
        let Some(argument) = self.command.get_arguments().find(known).cloned() else {
            return self.unknown(key.span().start, written, &long);
        };
        let pairs = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains('=')));
        let said = self.given.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
        if said && !pairs {
            return;
        }
        match self.values(&argument, &long, pairs, value.get_ref()) {
            Ok(values) => self.arguments.extend(values),
            Err(expected) => {
                let problem = self.problem(Some(value.span().start), format!("`{written}` must be {expected}"));
                self.problems.push(problem);
            }
        }
    }

    /// Writes a value as arguments. The error says what it should be.
    fn values(
        &self,
        argument: &clap::Arg,
        long: &str,
        pairs: bool,
        value: &DeValue<'_>,
    ) -> Result<Vec<OsString>, String> {
        let one = |text: String| OsString::from(format!("--{long}={text}"));
        match (argument.get_action(), value) {
            (ArgAction::SetTrue, DeValue::Boolean(true)) => Ok(vec![OsString::from(format!("--{long}"))]),
            (ArgAction::SetTrue, DeValue::Boolean(false)) => Ok(Vec::new()),
            (ArgAction::SetTrue, _) => Err("true or false".to_owned()),
            (_, DeValue::Table(table)) if pairs => {
                let mut entries: Vec<_> = table.iter().collect();
                entries.sort_by_key(|(key, _)| key.span().start);
                Ok(entries
                    .into_iter()
                    .map(|(key, value)| one(format!("{}={}", key.get_ref(), json(value.get_ref()))))
                    .collect())
            }
            (_, _) if pairs => Err(format!("a table, as in `[{}]` with `name = value` below", long.replace('-', "_"))),
            (ArgAction::Append, DeValue::Array(items)) => items
                .iter()
                .map(|item| scalar(item.get_ref()).map(one))
                .collect::<Option<_>>()
                .ok_or_else(|| "a list of texts".to_owned()),
            (ArgAction::Append, value) => {
                scalar(value).map(|text| vec![one(text)]).ok_or_else(|| "a text, or a list of texts".to_owned())
            }
            (_, value) => scalar(value).map(|text| vec![one(text)]).ok_or_else(|| "a text or a number".to_owned()),
        }
    }

    fn unknown(&mut self, offset: usize, written: &str, long: &str) {
        let command = self.command.get_name().to_owned();
        let names = self.command.get_arguments().filter_map(clap::Arg::get_long);
        let names: Vec<String> =
            names.filter(|name| !NOT_IN_FILES.contains(name)).map(|name| name.replace('-', "_")).collect();
        let mut problem = self.problem(Some(offset), format!("`ctl {command}` has no option `{written}`"));
        problem.hints = match closest(&long.replace('-', "_"), names.iter().map(String::as_str)) {
            _ if OF_THE_DAEMON.contains(&written) => vec![
                "this looks like the daemon's configuration: `--daemon-config FILE` names it for a private daemon"
                    .to_owned(),
            ],
            _ if NOT_IN_FILES.contains(&long) => vec![format!("`--{long}` belongs on the command line")],
            Some(near) => vec![format!("did you mean `{near}`?")],
            None => vec![format!("its options are {}", names.join(", "))],
        };
        self.problems.push(problem);
    }

    fn problem(&self, offset: Option<usize>, message: String) -> Problem {
        let place = offset.and_then(|offset| {
            let before = self.source.text.get(..offset)?;
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next()?.chars().count() + 1;
            let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
            Some(Place { file: self.source.name.clone(), line: number(line), column: number(column) })
        });
        Problem { code: "bad-option".to_owned(), message, place, causes: Vec::new(), hints: Vec::new() }
    }
}

/// Gives a text, number or boolean as it is written on a command line.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(date) => Some(date.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Gives a value as JSON, which is how parameters on the command line keep their types.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        DeValue::Array(items) => Json::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => {
            Json::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect())
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Datetime(date) => Json::String(date.to_string()),
    }
}

#[cfg(test)]
mod tests;
