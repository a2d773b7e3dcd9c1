//! Arguments of `ctl catalog`.

use clap::Subcommand;
use clap::builder::Resettable;

use super::{DaemonArgs, PipelineArgs};

const RESOLVE_EXAMPLES: &str = "\
Examples:
  ctl catalog resolve pipeline.toml model_EWR
  ctl catalog resolve . model_EWR metrics --env prod --json";

const VERSIONS_EXAMPLES: &str = "\
Examples:
  ctl catalog versions pipeline.toml
  ctl run pipeline.toml --load-versions model:2026-11-22T10.11.12.123Z";

/// The commands below `ctl catalog`.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// List the datasets of a pipeline and of its catalog, with the entry each resolves to
    #[command(visible_alias = "ls")]
    List(ListCommand),
    /// Tell which catalog entry names resolve to, and why
    #[command(after_help = RESOLVE_EXAMPLES, mut_arg("path", |path| path.required(true).default_value(Resettable::Reset).index(1)))]
    Resolve(ResolveCommand),
    /// Ask the dataset types whether the data is there; exit code 6 when some is not
    Exists(DatasetsCommand),
    /// List the versions of versioned datasets, latest first
    #[command(after_help = VERSIONS_EXAMPLES)]
    Versions(DatasetsCommand),
}

/// Arguments of `ctl catalog list`.
#[derive(Debug, clap::Args)]
pub struct ListCommand {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// The daemon that knows the plugins.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Arguments of `ctl catalog resolve`.
#[derive(Debug, clap::Args)]
pub struct ResolveCommand {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Names of datasets; the pipeline need not have them
    #[arg(value_name = "NAME", required = true, index = 2)]
    pub names: Vec<String>,
    /// The daemon that knows the plugins.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Arguments of commands about some or all datasets of a pipeline.
#[derive(Debug, clap::Args)]
pub struct DatasetsCommand {
    /// The pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Names of datasets; without them every one that the command can be about
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The daemon that knows the plugins.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}
