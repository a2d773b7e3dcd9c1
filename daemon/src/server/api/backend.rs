//! What the API needs of the daemon behind it.
//!
//! A trait, so that the API is tested by itself: over a real socket, against a daemon of which every answer is known.
//! Every method may block; the API calls them where that is allowed.

use protocol::{
    BlockList, CatalogList, CatalogRequest, Credentials, EvictRequest, Eviction, ExistsList, Graph, Health, HookList,
    LogList, NodeList, OutputList, PipelineList, PluginList, ReloadOptions, ReloadReport, RunDetail, RunFilter,
    RunList, RunSummary, Status, Submission, Validation, VersionList,
};

use crate::server::blocks::EvictError;
use crate::server::daemon::{AwaitedReport, CancelOutcome, Daemon, SubmitError};
use crate::server::feed::Subscription;
use crate::server::generations::ReloadError;
use crate::server::outputs::{FetchError, Fetched};
use crate::server::uploads::{Arriving, UploadError};

/// The daemon, as the API sees it. See [`Daemon`] for what each one does.
#[allow(missing_docs, reason = "each is the method of the same name of Daemon")]
pub trait Backend: Send + Sync + 'static {
    fn submit(&self, submission: Submission) -> Result<RunSummary, SubmitError>;
    fn submit_for_report(&self, submission: Submission) -> Result<AwaitedReport, SubmitError>;
    fn validate(&self, submission: &Submission) -> Result<Validation, SubmitError>;
    fn graph(&self, submission: &Submission) -> Result<Graph, SubmitError>;
    fn catalog(&self, request: &CatalogRequest) -> Result<CatalogList, SubmitError>;
    fn catalog_exists(&self, request: &CatalogRequest) -> Result<ExistsList, SubmitError>;
    fn catalog_versions(&self, request: &CatalogRequest) -> Result<VersionList, SubmitError>;
    fn runs(&self, filter: &RunFilter) -> Result<RunList, String>;
    fn run(&self, id: &str) -> Option<RunDetail>;
    fn resume(&self, id: &str, credentials: Credentials) -> Result<Option<RunSummary>, SubmitError>;
    fn cancel(&self, id: &str, reason: &str) -> CancelOutcome;
    fn logs(&self, id: &str, from: u64) -> Option<LogList>;
    fn events(&self, id: &str, from: u64) -> Option<Subscription>;
    /// The same where it can be told without blocking; the only one that the API calls on its own thread.
    fn events_at_once(&self, _id: &str, _from: u64) -> Option<Subscription> {
        None
    }
    fn plugins(&self) -> PluginList;
    fn reload(&self, options: ReloadOptions) -> Result<ReloadReport, ReloadError>;
    fn nodes(&self) -> NodeList;
    fn hooks(&self) -> HookList;
    fn status(&self) -> Status;
    fn health(&self) -> Result<Health, String>;
    fn outputs(&self, id: &str) -> Result<OutputList, FetchError>;
    fn output(&self, id: &str, name: &str, file_name: Option<&str>) -> Result<Fetched, FetchError>;
    fn output_fetched(&self, id: &str, name: &str);
    fn pipelines(&self) -> Result<PipelineList, String>;
    fn begin_upload(&self, announced: Option<u64>) -> Result<Arriving, UploadError>;
    fn blocks(&self) -> BlockList;
    fn evict(&self, request: &EvictRequest) -> Result<Eviction, EvictError>;
}

impl Backend for Daemon {
    fn submit(&self, submission: Submission) -> Result<RunSummary, SubmitError> {
        Daemon::submit(self, submission)
    }

    fn submit_for_report(&self, submission: Submission) -> Result<AwaitedReport, SubmitError> {
        Daemon::submit_for_report(self, submission)
    }

    fn validate(&self, submission: &Submission) -> Result<Validation, SubmitError> {
        Daemon::validate(self, submission)
    }

    fn graph(&self, submission: &Submission) -> Result<Graph, SubmitError> {
        Daemon::graph(self, submission)
    }

    fn catalog(&self, request: &CatalogRequest) -> Result<CatalogList, SubmitError> {
        Daemon::catalog(self, request)
    }

    fn catalog_exists(&self, request: &CatalogRequest) -> Result<ExistsList, SubmitError> {
        Daemon::catalog_exists(self, request)
    }

    fn catalog_versions(&self, request: &CatalogRequest) -> Result<VersionList, SubmitError> {
        Daemon::catalog_versions(self, request)
    }

    fn runs(&self, filter: &RunFilter) -> Result<RunList, String> {
        Daemon::runs(self, filter)
    }

    fn run(&self, id: &str) -> Option<RunDetail> {
        Daemon::run(self, id)
    }

    fn resume(&self, id: &str, credentials: Credentials) -> Result<Option<RunSummary>, SubmitError> {
        Daemon::resume(self, id, credentials)
    }

    fn cancel(&self, id: &str, reason: &str) -> CancelOutcome {
        Daemon::cancel(self, id, reason)
    }

    fn logs(&self, id: &str, from: u64) -> Option<LogList> {
        Daemon::logs(self, id, from)
    }

    fn events(&self, id: &str, from: u64) -> Option<Subscription> {
        Daemon::events(self, id, from)
    }

    fn events_at_once(&self, id: &str, from: u64) -> Option<Subscription> {
        Daemon::events_at_once(self, id, from)
    }

    fn plugins(&self) -> PluginList {
        Daemon::plugins(self)
    }

    fn reload(&self, options: ReloadOptions) -> Result<ReloadReport, ReloadError> {
        Daemon::reload(self, options)
    }

    fn nodes(&self) -> NodeList {
        Daemon::nodes(self)
    }

    fn hooks(&self) -> HookList {
        Daemon::hooks(self)
    }

    fn status(&self) -> Status {
        Daemon::status(self)
    }

    fn health(&self) -> Result<Health, String> {
        Daemon::health(self)
    }

    fn outputs(&self, id: &str) -> Result<OutputList, FetchError> {
        Daemon::outputs(self, id)
    }

    fn output(&self, id: &str, name: &str, file_name: Option<&str>) -> Result<Fetched, FetchError> {
        Daemon::output(self, id, name, file_name)
    }

    fn output_fetched(&self, id: &str, name: &str) {
        Daemon::output_fetched(self, id, name);
    }

    fn pipelines(&self) -> Result<PipelineList, String> {
        Daemon::pipelines(self)
    }

    fn begin_upload(&self, announced: Option<u64>) -> Result<Arriving, UploadError> {
        Daemon::begin_upload(self, announced)
    }

    fn blocks(&self) -> BlockList {
        Daemon::blocks(self)
    }

    fn evict(&self, request: &EvictRequest) -> Result<Eviction, EvictError> {
        Daemon::evict(self, request)
    }
}
