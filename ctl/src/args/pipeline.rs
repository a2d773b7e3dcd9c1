//! Arguments that name a pipeline and say how to run it.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::blocks::{self, HandedIn};
use super::{FilterArgs, values};
use protocol::OnFailure;

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  ctl run pipeline.toml
  ctl run . --params model.alpha=0.5 --params origin=JFK
  ctl run pipeline.toml --catalog test/catalog.toml --max-workers 1
  ctl run pipeline.toml --from-nodes clean --tags daily,weekly
  ctl run pipeline.toml --plugins target/debug --json | jq .kind

With --json: a line {\"kind\": \"submitted\", \"run\": …}, then one for each event with its kind, and last
{\"kind\": \"report\", \"run\": …} with everything known about the run.

Ctrl-C cancels the run; a second Ctrl-C does not wait for its nodes.";

pub(super) const SUBMIT_EXAMPLES: &str = "\
Examples:
  ctl submit pipeline.toml
  ctl submit pipeline.toml --run-id nightly-2024-02-29
  id=$(ctl submit --detach pipeline.toml)

With --json: the same lines as `ctl run --json`; with --detach one document, the run.

Ctrl-C only stops watching; the run goes on. `ctl cancel RUN` ends it.";

pub(super) const RESUME_HELP: &str = "\
The run must have failed, been cancelled or been interrupted. What it had finished and persisted is not run again; the nodes that
did not finish are, with those that made data for them in memory only, and everything that depends on these. The files
are those that were submitted; data is read as it is now.

Ctrl-C only stops watching; the run goes on.";

/// Which pipeline, and the files that belong to it.
#[derive(Debug, Clone, clap::Args)]
pub struct PipelineArgs {
    /// A pipeline (.toml or .json), a folder with a pipeline.toml or with a folder `pipelines`, or - for standard input
    ///
    /// catalog.toml, parameters.toml and credentials.toml beside it belong to it, and those of one environment (--env). Without
    /// it: the folder you are in.
    // The usual parser of paths takes no empty one, which here stands for none.
    #[arg(value_name = "PIPELINE", default_value = "", hide_default_value = true, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub path: PathBuf,
    /// Which pipelines of the folder `pipelines`, with commas between: their sum runs
    ///
    /// Without it the one named `__default__`, or all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub pipeline: Vec<String>,
    /// Files that belong to it.
    #[command(flatten)]
    pub filing: Filing,
    /// Which of its nodes.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Files and values that complete a pipeline.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filing {
    /// Take this catalog instead of the one beside the pipeline; later ones overlay earlier ones
    #[arg(long, value_name = "FILE")]
    pub catalog: Vec<PathBuf>,
    /// Take these parameters instead of those beside the pipeline; later ones overlay earlier ones
    #[arg(long, value_name = "FILE")]
    pub parameters: Vec<PathBuf>,
    /// Overlay the files of env/NAME beside the pipeline; without it $DAGD_ENV, else env/local if that is there
    #[arg(long, short, value_name = "NAME")]
    pub env: Option<String>,
    /// Take these credentials instead of those beside the pipeline; later ones overlay earlier ones
    #[arg(long, value_name = "FILE")]
    pub credentials: Vec<PathBuf>,
    /// Catalog patterns for datasets that the catalog knows nothing of
    #[arg(long, value_name = "FILE")]
    pub default_patterns: Vec<PathBuf>,
    /// Load this version of a versioned dataset instead of the latest; may be given several times
    #[arg(long, value_name = "DATASET:VERSION", value_parser = values::load_version)]
    pub load_versions: Vec<(String, String)>,
    /// Set one parameter, as in model.alpha=0.1; may be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = values::parameter)]
    pub params: Vec<(String, String)>,
    /// Hand data in as a dataset: a value as in threshold=0.5, or a file as in companies=@companies.csv
    ///
    /// A file's dataset type is that of the catalog's entry, or told by its name's ending, or by you: companies=@data:type=csv.
    /// The file is sent to the daemon, which need not be able to read it.
    #[arg(long, value_name = "NAME=VALUE|@FILE", value_parser = blocks::handed_in)]
    pub input: Vec<HandedIn>,
}

/// How to run a pipeline.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// Take options from this file, TOML with a key for each flag; the command line goes before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Id for the run, instead of one made up
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Save versioned datasets as this version, instead of the moment of the run
    #[arg(long, value_name = "VERSION")]
    pub save_version: Option<String>,
    /// Use at most so many workers at once
    #[arg(long, value_name = "N", value_parser = values::positive, allow_negative_numbers = true)]
    pub max_workers: Option<u32>,
    /// One node after the other, in the plan's order, on one worker
    #[arg(long)]
    pub sequential: bool,
    /// Let readers start from memory while a save is still under way
    #[arg(long = "async")]
    pub asynchronous_saves: bool,
    /// What a failed node means for the others: stop (none starts any more) or continue (what does not need it runs)
    #[arg(long, value_name = "WHAT", value_parser = values::on_failure())]
    pub on_failure: Option<OnFailure>,
    /// Run only what is needed to make persisted outputs that are missing; whether one is up to date is not looked at
    #[arg(long)]
    pub only_missing_outputs: bool,
    /// Where a failure stops the run, stop the nodes that run too instead of letting them finish
    #[arg(long)]
    pub fail_fast: bool,
    /// Stop the run when it takes longer, as failed: seconds, or with a unit as in 500ms, 90s, 5m, 2h
    #[arg(long, value_name = "TIME", value_parser = values::seconds, allow_negative_numbers = true)]
    pub timeout: Option<f64>,
}
