//! `ctl dev`: builds a plugin crate whenever its sources change, loads it, and runs a pipeline with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use protocol::{PluginList, ReloadOptions, ReloadReport, RunSummary, exit, path};
use serde_json::json;

use super::submit;
use crate::args::{DevCommand, PipelineArgs};
use crate::dev::build::{Built, build};
use crate::dev::place;
use crate::dev::sources::{Changed, Sources};
use crate::error::Error;
use crate::follow::{Ended, Interrupts, OnInterrupt, Watcher, follow};
use crate::render::paint::harmless;
use crate::render::reload::identity;
use crate::render::report::{Left, Rows};
use crate::render::units::duration;
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &DevCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let mut interrupts = Interrupts::take()?;
    let mut dev = Dev { command, socket, session: None, built_from: BTreeSet::new(), is_loaded: false };
    let outcome = dev.go_on(&mut interrupts, screen).await;
    match dev.session {
        Some(session) => session.close(outcome).await,
        None => outcome,
    }
}

struct Dev<'a> {
    command: &'a DevCommand,
    socket: Option<&'a Path>,
    /// The daemon, from the first build that succeeds on.
    session: Option<Session>,
    built_from: BTreeSet<PathBuf>,
    /// Whether what was built last is what the daemon has.
    is_loaded: bool,
}

impl Dev<'_> {
    /// Goes on until interrupted.
    async fn go_on(&mut self, interrupts: &mut Interrupts, screen: &mut Screen) -> Result<u8, Error> {
        let mut changed = Changed::Sources;
        let mut before: Option<Sources> = None;
        loop {
            // From before the build on: what changes during it is built next.
            let mut sources = Sources::watch(&self.command.folder, &self.built_from, self.inputs())?;
            // What changed until now is built now.
            changed = changed.max(before.take().and_then(|mut sources| sources.take()).unwrap_or(changed));
            let code = match self.round(changed, &mut sources, interrupts, screen).await {
                Ok(Round::Over(code)) => code,
                Ok(Round::Interrupted) => return Ok(exit::OK),
                Ok(Round::Changed(_)) if interrupts.have_come() => return Ok(exit::OK),
                Ok(Round::Changed(what)) => {
                    changed = what;
                    before = Some(sources);
                    continue;
                }
                // What is wrong with the pipeline or the plugin can be mended; what is wrong with the daemon cannot.
                Err(Error::Failed(complaint)) if complaint.exit == exit::PROBLEMS && !self.command.once => {
                    screen.complain(&complaint);
                    complaint.exit
                }
                Err(error) => return Err(error),
            };
            if self.command.once {
                return Ok(code);
            }
            screen.finish()?;
            if interrupts.have_come() {
                return Ok(exit::OK);
            }
            screen.note("waiting for changes; Ctrl-C ends this");
            changed = tokio::select! {
                changed = sources.changed() => changed,
                _ = interrupts.next() => return Ok(exit::OK),
            };
            before = Some(sources);
        }
    }

    /// Builds and loads if that is called for, and runs.
    async fn round(
        &mut self,
        changed: Changed,
        sources: &mut Sources,
        interrupts: &mut Interrupts,
        screen: &mut Screen,
    ) -> Result<Round, Error> {
        if changed == Changed::Sources || !self.is_loaded {
            self.is_loaded = false;
            let start = Instant::now();
            let built = tokio::select! {
                built = build(&self.command.folder, self.command.release) => built?,
                _ = interrupts.next() => return Ok(Round::Interrupted),
            };
            let took_us = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
            let Some(built) = built else {
                if screen.json {
                    screen.print_json_line(&json!({ "kind": "build_failed", "took_us": took_us }))?;
                }
                return Ok(Round::Over(exit::PROBLEMS));
            };
            self.load(&built, took_us, screen).await?;
            self.built_from = built.sources;
            self.is_loaded = true;
        }
        let (Some(pipeline), Some(session)) = (&self.command.pipeline, &self.session) else {
            return Ok(Round::Over(exit::OK));
        };
        self.run(pipeline, session, sources, interrupts, screen).await
    }

    async fn load(&mut self, built: &Built, build_us: i64, screen: &mut Screen) -> Result<(), Error> {
        let start = Instant::now();
        let name = built.library.file_name().unwrap_or_default();
        let generation = match &self.session {
            Some(session) => {
                place::put(&built.library, &self.place(built, session).await?)?;
                reload(session).await?
            }
            None if self.is_private() => {
                let folder = place::of_private(&built.library);
                place::put(&built.library, &folder)?;
                let mut options = self.command.private.clone();
                options.plugins.insert(0, folder);
                let session = self.session.insert(Session::of_private(&options)?);
                session.warn_of_refused_plugins(screen).await?;
                session.client.get::<PluginList>(path::PLUGINS).await?.generation
            }
            None => {
                let session = Session::of_service(self.socket);
                place::put(&built.library, &self.place(built, &session).await?)?;
                let generation = reload(&session).await?;
                self.session = Some(session);
                generation
            }
        };
        let took_us = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
        let Some(session) = &self.session else { return Ok(()) };
        let plugins: PluginList = session.client.get(path::PLUGINS).await?;
        let ours = plugins.plugins.iter().find(|plugin| Path::new(&plugin.path).file_name() == Some(name));
        let Some(plugin) = ours else {
            let error =
                Error::new(exit::PROBLEMS, "not-loaded", format!("the daemon has not loaded {}", name.display()));
            return Err(error.hint("what it said about the library stands above; `ctl plugins` tells it too"));
        };
        if screen.json {
            return screen.print_json_line(&json!({
                "kind": "loaded", "generation": generation, "plugin": plugin, "build_us": build_us, "load_us": took_us,
            }));
        }
        let which = protocol::PluginIdentity {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            sha256: plugin.sha256.clone(),
        };
        screen.note(&format!(
            "built in {}, loaded in {}: {} {}, generation {generation}",
            duration(build_us),
            duration(took_us),
            harmless(&plugin.name),
            identity(&which)
        ));
        Ok(())
    }

    /// Where the library goes.
    async fn place(&self, built: &Built, session: &Session) -> Result<PathBuf, Error> {
        if let Some(folder) = &self.command.into {
            return Ok(folder.clone());
        }
        if self.is_private() {
            return Ok(place::of_private(&built.library));
        }
        place::of_service(&built.library, &session.client.get(path::PLUGINS).await?)
    }

    async fn run(
        &self,
        pipeline: &Path,
        session: &Session,
        sources: &mut Sources,
        interrupts: &mut Interrupts,
        screen: &mut Screen,
    ) -> Result<Round, Error> {
        let arguments = PipelineArgs {
            pipeline: Vec::new(),
            path: pipeline.to_owned(),
            filing: self.command.filing.clone(),
            filter: self.command.filter.clone(),
        };
        let submission = source::submission(&arguments, &self.command.run)?;
        let summary: RunSummary =
            session.client.post(path::RUNS, &submission).await.map_err(|error| error.about(&submission))?;
        if screen.json {
            screen.print_json_line(&json!({ "kind": "submitted", "run": summary }))?;
        }
        let mut watcher = Watcher::suited(screen, &summary, self.command.quiet);
        let cancel = OnInterrupt::Cancel;
        let ended = tokio::select! {
            ended = follow(&session.client, &summary.id, &mut watcher, interrupts, cancel, false, screen) => Ok(ended?),
            changed = sources.changed() => Err(changed),
        };
        match ended {
            Ok(Ended::Finished(detail)) => {
                submit::report(&detail, &Rows::at_the_end("--json tells all"), Left::Forgotten, screen).map(Round::Over)
            }
            Ok(Ended::Left | Ended::Abandoned) => Ok(Round::Interrupted),
            Err(changed) => {
                // What it would show is out of date.
                session.client.post::<RunSummary>(&path::run_cancel(&summary.id), &json!({})).await?;
                screen.note("something changed: the run is cancelled");
                Ok(Round::Changed(changed))
            }
        }
    }

    /// The files that runs read and a person edits.
    fn inputs(&self) -> Vec<PathBuf> {
        let Some(pipeline) = &self.command.pipeline else { return Vec::new() };
        let folder = if pipeline.is_dir() { Some(pipeline.as_path()) } else { pipeline.parent() };
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside =
            ["pipeline.toml", "pipeline.json", "catalog.toml", "parameters.toml"].map(|name| folder.join(name));
        let filing = &self.command.filing;
        let named = [pipeline].into_iter().chain(&filing.catalog).chain(&filing.parameters).cloned();
        named.chain(beside).collect()
    }

    fn is_private(&self) -> bool {
        self.socket.is_none() && self.command.into.is_none()
    }
}

/// How a round ended.
enum Round {
    /// With this exit code, were it the last.
    Over(u8),
    /// The user has seen enough.
    Interrupted,
    /// Something changed meanwhile.
    Changed(Changed),
}

/// Reloads, also where pipelines of before no longer plan: whoever changes a plugin changes those next.
async fn reload(session: &Session) -> Result<u64, Error> {
    let options = ReloadOptions { force: true, ..ReloadOptions::default() };
    Ok(session.client.post::<ReloadReport>(path::RELOAD, &options).await?.generation)
}
