//! A reload: a new generation is loaded beside the current one, checked, and put in its place; or refused, with the reasons.
//!
//! One at a time. Requests that come while one is under way wait for it and share the next: it began after they came, so it
//! has seen what they meant. Whatever goes wrong before the swap leaves everything as it was, the configuration included.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use protocol::{BrokenPipeline, Problem, ReloadOptions, ReloadReport};

use super::candidate::{Candidate, Stock};
use super::current::{announce, is_same};
use super::difference::{self, Side};
use super::load::{BadLibraries, LoadError};
use super::{Generation, Generations, Refused, known, stranded};
use crate::server::config::Config;
use crate::server::logging;

/// Who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadCause {
    /// Somebody, by request or signal: the configuration is read anew too.
    Asked,
    /// A library changed.
    Watch,
}

/// Why there is no new generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadError {
    /// It did not pass the checks, or the configuration has problems.
    Refused {
        /// In a sentence.
        message: String,
        /// Each reason.
        problems: Vec<Problem>,
    },
    /// Not now, in a sentence.
    Unavailable(String),
    /// There is nothing to go back to.
    NothingBefore,
}

impl ReloadError {
    /// The daemon ends.
    pub(super) fn stopping() -> ReloadError {
        ReloadError::Unavailable("the daemon is stopping and loads no plugins any more".to_owned())
    }
}

impl std::fmt::Display for ReloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReloadError::Refused { message, .. } | ReloadError::Unavailable(message) => f.write_str(message),
            ReloadError::NothingBefore => {
                f.write_str("there is nothing to roll back to: these plugins were loaded when the daemon started")
            }
        }
    }
}

impl Generations {
    /// Reloads; blocks until the new generation is current or refused.
    pub fn reload(&self, options: ReloadOptions, cause: ReloadCause) -> Result<ReloadReport, ReloadError> {
        let is_plain = options == ReloadOptions::default() && cause == ReloadCause::Asked;
        let begun = self.begun.load(Ordering::SeqCst);
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_plain {
            return self.attempt(options, cause);
        }
        if self.begun.load(Ordering::SeqCst) > begun
            && let Some(shared) = &*turn
        {
            return shared.clone();
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let result = self.attempt(options, cause);
        *turn = Some(result.clone());
        result
    }

    fn attempt(&self, options: ReloadOptions, cause: ReloadCause) -> Result<ReloadReport, ReloadError> {
        if self.registry.is_closed() {
            return Err(ReloadError::stopping());
        }
        let current = self.current();
        let mut warnings = Vec::new();
        let (stock, config) = if options.rollback {
            let previous = self.previous().ok_or(ReloadError::NothingBefore)?;
            warnings.push(format!(
                "these are the plugins of generation {}; the next reload takes what lies in the plugin directories again",
                previous.number
            ));
            (Stock::of(previous.libraries), Config::clone(&self.config()))
        } else {
            let config = match cause {
                ReloadCause::Asked => self.configured_anew(&current, &mut warnings)?,
                ReloadCause::Watch => Config::clone(&self.config()),
            };
            (Stock::find(&config, &self.copies()), config)
        };
        if cause == ReloadCause::Watch && (self.is_nothing_new(&stock, &current) || lost_a_directory(&current)) {
            return Ok(ReloadReport {
                generation: current.number,
                previous: current.number,
                ..ReloadReport::default()
            });
        }
        let number = self.next_number(!options.dry_run);
        let mut report = ReloadReport {
            dry_run: options.dry_run,
            generation: number,
            previous: current.number,
            warnings,
            ..ReloadReport::default()
        };
        let candidate = match Candidate::load(number, stock, &config, BadLibraries::RefuseAll) {
            Ok(candidate) => candidate,
            Err(error) => {
                report.problems = problems_of(error);
                return self.refuse(report);
            }
        };
        report.warnings.extend(candidate.warnings.iter().cloned());
        if !config.private {
            let now_us = self.services.clock.unix_us_now();
            report.pipelines = known::broken(&self.store, now_us, &current.signature, &candidate.signature);
        }
        let protects = config.plugins.protect_pipelines && !options.force;
        for broken in &report.pipelines {
            if protects && broken.refuses {
                report.problems.push(problem_of(broken));
            } else {
                report.warnings.push(format!("pipeline {} no longer plans: {}", broken.pipeline, first(broken)));
            }
        }
        for problem in stranded::problems(&self.services.residents.list(), &candidate.signature) {
            if options.force {
                report.warnings.push(problem.message);
            } else {
                report.problems.push(problem);
            }
        }
        let before = Side { manifest: &current.manifest, libraries: &current.libraries };
        if options.dry_run {
            let after = Side { manifest: &candidate.loaded.manifest, libraries: &candidate.loaded.libraries };
            report.changes = difference::changes(before, after);
            candidate.discard();
            return Ok(report);
        }
        if !report.problems.is_empty() {
            candidate.discard();
            return self.refuse(report);
        }
        let generation = match candidate.into_generation(number, &config, &self.services, &self.undertaker) {
            Ok(generation) => generation,
            Err(message) => {
                report.problems = problems_of(LoadError::Failed(message));
                return self.refuse(report);
            }
        };
        announce(&generation, &config);
        let level = config.log.level;
        self.swap(&generation, config, options.rollback)?;
        logging::set_level(level);
        log::info!("generation {number} is current; generation {} ends with its last run", current.number);
        // Only now: the hashes take longer than the swap.
        let after = Side { manifest: &generation.manifest, libraries: &generation.libraries };
        report.changes = difference::changes(before, after);
        Ok(report)
    }

    /// Whether a look at the directories shows what is loaded, or what was loaded and rolled back from: a rollback is not undone by
    /// itself.
    fn is_nothing_new(&self, stock: &Stock, current: &Generation) -> bool {
        let is_loaded = current.refused.is_empty() && is_same(&stock.libraries, &current.libraries);
        let was_left = self.rolled_back_from().is_some_and(|left| is_same(&stock.libraries, &left.libraries));
        stock.refused.is_empty() && (is_loaded || was_left)
    }

    /// The configuration as it stands now, as far as it can change while the daemon runs.
    fn configured_anew(&self, current: &Generation, warnings: &mut Vec<String>) -> Result<Config, ReloadError> {
        let old = self.config();
        let Some(configure) = self.configure.get() else { return Ok(Config::clone(&old)) };
        match configure() {
            Ok(mut config) => {
                let sections = config.keep_what_cannot_change(&old);
                if !sections.is_empty() {
                    warnings.push(format!(
                        "what has changed in {} of the configuration holds when the daemon starts again",
                        sections.join(", ")
                    ));
                }
                for warning in warnings {
                    log::warn!("{warning}");
                }
                Ok(config)
            }
            Err(problems) => {
                for problem in &problems {
                    log::warn!("the configuration is kept as it was: {problem}");
                }
                let message = format!(
                    "the configuration has problems; it stays as it was, and generation {} stays current",
                    current.number
                );
                Err(ReloadError::Refused { message, problems })
            }
        }
    }

    /// Says no; or, of a dry run, that it would be no.
    fn refuse(&self, report: ReloadReport) -> Result<ReloadReport, ReloadError> {
        if report.dry_run {
            return Ok(report);
        }
        self.note_refused(report.generation, &report.problems);
        let message =
            format!("generation {} is refused; generation {} stays current", report.generation, report.previous);
        Err(ReloadError::Refused { message, problems: report.problems })
    }
}

/// Whether a directory that libraries came from is not there: it is being replaced, or a mount went away. To ask for a reload is
/// to mean it; by itself the daemon does not run out of plugins over it, and it hears when the directory is back.
fn lost_a_directory(current: &Generation) -> bool {
    let folders: BTreeSet<&Path> = current.libraries.iter().filter_map(|library| library.path.parent()).collect();
    let lost = folders.into_iter().find(|folder| !folder.is_dir());
    if let Some(folder) = lost {
        log::warn!(
            "the plugin directory {} is gone; its plugins stay until `ctl reload`, or until it is back",
            folder.display()
        );
    }
    lost.is_some()
}

fn problems_of(error: LoadError) -> Vec<Problem> {
    let problem = |code: &str, message: String, hints: Vec<String>| Problem {
        code: code.to_owned(),
        message,
        place: None,
        causes: Vec::new(),
        hints,
    };
    match error {
        LoadError::Refused(libraries) => libraries
            .into_iter()
            .map(|Refused { path, reason, hint }| {
                let hints = Some(hint).filter(|hint| !hint.is_empty()).into_iter().collect();
                problem("refused-library", format!("{path}: {reason}"), hints)
            })
            .collect(),
        LoadError::Failed(message) => vec![problem("load-failed", message, Vec::new())],
    }
}

fn problem_of(broken: &BrokenPipeline) -> Problem {
    Problem {
        code: "breaks-pipeline".to_owned(),
        message: format!("pipeline {} (run {}) would no longer plan: {}", broken.pipeline, broken.run, first(broken)),
        place: None,
        causes: broken.problems.iter().skip(1).map(|problem| problem.message.clone()).collect(),
        hints: vec![
            "`ctl reload --force` takes the plugins all the same; [plugins] protect_pipelines = false never asks"
                .to_owned(),
        ],
    }
}

fn first(broken: &BrokenPipeline) -> &str {
    broken.problems.first().map_or("it has problems", |problem| problem.message.as_str())
}
