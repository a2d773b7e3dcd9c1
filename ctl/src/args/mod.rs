//! The command line: every command, flag and help text, in one definition.

mod blocks;
mod catalog;
mod filter;
mod pipeline;
mod session;
mod values;

pub use blocks::{DatasetsAction, DatasetsCommand, HandedIn, HandedInData, OutputArgs, OutputCommand, Wanted};
pub use catalog::CatalogCommand;
pub use filter::FilterArgs;
pub use pipeline::{Filing, PipelineArgs, RunArgs};
pub use session::{DaemonArgs, PrivateArgs};

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use protocol::{RunState, exit};
use serde_json::json;

use crate::screen::Screen;

/// Runs, submits, watches and inspects pipelines of dagd, the daemon for DAGs.
#[derive(Debug, Parser)]
#[command(name = "ctl", version, after_help = EXAMPLES, max_term_width = 110, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = false)]
pub struct Args {
    /// Where the daemon listens: a path, or @NAME for an abstract socket
    ///
    /// Without it: $DAGD_SOCKET, then $XDG_RUNTIME_DIR/dagd/dagd.sock, then /run/dagd/dagd.sock.
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global options")]
    pub socket: Option<PathBuf>,

    /// Answer in JSON on standard output, errors included
    ///
    /// One document; commands that follow a run print one line per event instead.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ctl run pipeline.toml                    run it here and now, no daemon needed
  ctl run flights/ --params model.alpha=2  a folder means its pipeline.toml
  ctl submit pipeline.toml                 hand it to the daemon and watch
  id=$(ctl submit --detach pipeline.toml)  hand it over and go on
  ctl logs --follow \"$id\"                  what its nodes say
  ctl nodes flights::train                 what a node takes and gives
  ctl graph pipeline.toml --format dot | dot -Tsvg > graph.svg

Exit codes: 0 well, 1 the run failed, 2 usage, 3 problems in the pipeline, 4 no daemon, 5 cancelled,
6 not found, 7 not allowed, 70 internal; `ctl help exit-codes` tells more.";

/// The commands; each is named like the request it sends.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline with a private daemon that ends with it
    #[command(visible_alias = "r", after_help = pipeline::RUN_EXAMPLES)]
    Run(RunCommand),
    /// Submit a pipeline to the daemon, and follow it
    #[command(after_help = pipeline::SUBMIT_EXAMPLES)]
    Submit(SubmitCommand),
    /// List the runs, newest first
    #[command(visible_alias = "ls")]
    Runs(RunsCommand),
    /// Show what became of a run: its nodes, datasets and failures
    Show(RunId),
    /// Print what a run's nodes have logged and printed
    Logs(LogsCommand),
    /// Run again what of a run did not finish, as a new run
    #[command(after_help = pipeline::RESUME_HELP)]
    Resume(ResumeCommand),
    /// Cancel runs
    Cancel(CancelCommand),
    /// Check a pipeline without running it; every problem is reported
    #[command(visible_alias = "check")]
    Validate(PipelineCommand),
    /// Draw a pipeline
    Graph(GraphCommand),
    /// Look at a pipeline's catalog: what is where, and which entry a name resolves to
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// List the plugins, and the libraries that were set aside
    Plugins(DaemonArgs),
    /// Load the plugins and the configuration anew; all of it, or nothing changes
    #[command(after_help = RELOAD_HELP)]
    Reload(ReloadCommand),
    /// Build a plugin crate whenever it changes, load it, and run a pipeline with it
    #[command(after_help = DEV_HELP)]
    Dev(DevCommand),
    /// List the nodes that pipelines can call, or explain one
    Nodes(NodesCommand),
    /// List the hooks, and why those that are off are off
    Hooks(DaemonArgs),
    /// Fetch what a run has made
    #[command(after_help = blocks::OUTPUT_EXAMPLES)]
    Output(OutputCommand),
    /// List the datasets in the daemon's memory, or drop resident ones
    #[command(after_help = blocks::DATASETS_EXAMPLES)]
    Datasets(DatasetsCommand),
    /// Show how the daemon is
    Status,
    /// Print a completion script for a shell
    #[command(after_help = "Example: ctl completions bash > ~/.local/share/bash-completion/completions/ctl")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// List the exit codes and what they mean
    #[command(after_help = exit_codes_text())]
    ExitCodes,
}

/// Arguments of `ctl run`.
#[derive(Debug, clap::Args)]
pub struct RunCommand {
    /// What to run.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,
    /// What to fetch of it.
    #[command(flatten)]
    pub outputs: OutputArgs,
    /// The daemon to start for it.
    #[command(flatten)]
    pub private: PrivateArgs,
    /// Say nothing while it runs
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `ctl submit`.
#[derive(Debug, clap::Args)]
pub struct SubmitCommand {
    /// What to run.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,
    /// What to fetch of it.
    #[command(flatten)]
    pub outputs: OutputArgs,
    /// Print the run's id and nothing else, do not wait
    #[arg(long, short)]
    pub detach: bool,
    /// Say nothing while it runs
    #[arg(long, short, conflicts_with = "detach")]
    pub quiet: bool,
}

/// Arguments of `ctl runs`.
#[derive(Debug, clap::Args)]
pub struct RunsCommand {
    /// Only runs in this state: queued, running, succeeded, failed, cancelled or interrupted
    #[arg(long, value_name = "STATE", value_parser = values::run_state())]
    pub state: Option<RunState>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", value_parser = values::positive, allow_negative_numbers = true)]
    pub limit: Option<u32>,
}

const DEV_HELP: &str = "\
Examples:
  ctl dev tides tides/pipeline.toml           a daemon of its own, with this plugin
  ctl dev . pipeline.toml --plugins ../lib    and with those in another folder
  ctl dev . --socket /run/dagd/dagd.sock      the daemon there gets the plugin

Without --socket and --into a private daemon is used. Another is given the library where it has it from, or at --into, and
reloads. What the compiler says is shown as it says it. A change while a run is under way cancels the run. Ctrl-C ends.

With --json: a line {\"kind\": \"loaded\", …} or {\"kind\": \"build_failed\", …}, then the lines of `ctl run --json`.";

/// Arguments of `ctl dev`.
#[derive(Debug, clap::Args)]
pub struct DevCommand {
    /// The folder of the plugin's crate
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// What to run when it is loaded: a pipeline, or a folder with a pipeline.toml
    #[arg(value_name = "PIPELINE")]
    pub pipeline: Option<PathBuf>,
    /// Files that belong to it.
    #[command(flatten)]
    pub filing: Filing,
    /// Which of its nodes.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,
    /// The daemon to start for it.
    #[command(flatten)]
    pub private: PrivateArgs,
    /// Build with optimisations
    #[arg(long)]
    pub release: bool,
    /// Put the library into this plugin directory of a daemon that runs already, and have that reload
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Do it once: the exit code tells how it went
    #[arg(long)]
    pub once: bool,
    /// Say nothing while it runs
    #[arg(long, short)]
    pub quiet: bool,
}

const RELOAD_HELP: &str = "\
New runs take the new plugins; runs under way keep those they began with. A reload that fails a check changes nothing:
the reasons are shown, `ctl plugins` keeps them, and the exit code is 3.";

/// Arguments of `ctl reload`.
#[derive(Debug, clap::Args)]
pub struct ReloadCommand {
    /// Say what would change, and change nothing: nodes, ports, and pipelines that would no longer plan
    #[arg(long)]
    pub dry_run: bool,
    /// Go back to the plugins that were current before these, whatever lies in the plugin directories now
    #[arg(long)]
    pub rollback: bool,
    /// Take the plugins although pipelines submitted lately would no longer plan, or resident datasets would lose their type
    #[arg(long)]
    pub force: bool,
}

/// A run.
#[derive(Debug, clap::Args)]
pub struct RunId {
    /// The run's id, as `ctl submit` and `ctl runs` print it
    #[arg(value_name = "RUN")]
    pub id: String,
}

/// Arguments of `ctl logs`.
#[derive(Debug, clap::Args)]
pub struct LogsCommand {
    /// The run.
    #[command(flatten)]
    pub run: RunId,
    /// Go on until the run is over
    #[arg(long, short)]
    pub follow: bool,
    /// Only what this node said
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
}

/// Arguments of `ctl resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeCommand {
    /// The run.
    #[command(flatten)]
    pub run: RunId,
    /// Take these credentials, which are kept with no run; later ones overlay earlier ones
    #[arg(long, value_name = "FILE")]
    pub credentials: Vec<PathBuf>,
    /// Print the new run's id and nothing else, do not wait
    #[arg(long, short)]
    pub detach: bool,
    /// Say nothing while it runs
    #[arg(long, short, conflicts_with = "detach")]
    pub quiet: bool,
}

/// Arguments of `ctl cancel`.
#[derive(Debug, clap::Args)]
pub struct CancelCommand {
    /// The runs' ids
    #[arg(value_name = "RUN", required = true)]
    pub ids: Vec<String>,
}

/// Arguments of commands that look at a pipeline without running it.
#[derive(Debug, clap::Args)]
pub struct PipelineCommand {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How it would be run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The daemon that knows the plugins.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Arguments of `ctl graph`.
#[derive(Debug, clap::Args)]
pub struct GraphCommand {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineCommand,
    /// How to draw it
    #[arg(long, short, value_enum, default_value_t = GraphFormat::Text)]
    pub format: GraphFormat,
    /// Group the nodes by layer: those of one layer can run side by side
    #[arg(long)]
    pub layers: bool,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For reading
    Text,
    /// For Graphviz
    Dot,
    /// For Mermaid, as in Markdown pages
    Mermaid,
    /// For programs
    Json,
}

/// Arguments of `ctl nodes`.
#[derive(Debug, clap::Args)]
pub struct NodesCommand {
    /// Explain this node, as in `flights::train`; a plugin's name lists its nodes
    pub name: Option<String>,
    /// The daemon that knows the plugins.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// The exit codes as a text.
pub fn exit_codes_text() -> String {
    let lines = exit::TABLE.iter().map(|(code, meaning)| format!("{code:>3}  {meaning}\n"));
    format!("Exit codes:\n{}", lines.collect::<String>())
}

/// Shows what is wrong with the command line, or the help that was asked for.
pub fn show_problem(problem: &clap::Error, screen: &mut Screen) -> ExitCode {
    if screen.json && problem.use_stderr() {
        let text = problem.render().to_string();
        let text = text.trim().trim_start_matches("error: ");
        let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
        let hints: Vec<&str> = rest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let error = json!({ "code": "usage", "message": message, "causes": [], "hints": hints, "problems": [] });
        let _ = screen.print_json_line(&json!({ "error": error }));
    } else {
        // clap knows where it belongs and in which colours; a closed pipe is no news.
        let _ = problem.print();
    }
    ExitCode::from(if problem.use_stderr() { exit::USAGE } else { exit::OK })
}

#[cfg(test)]
mod tests;
