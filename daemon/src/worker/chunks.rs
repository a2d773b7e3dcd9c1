//! Outputs that are saved as they come: each chunk goes through its dataset type here, within the node's call and before the
//! node makes the next one, so that no more than one of them is ever in memory.
//!
//! The server sees each chunk first and hears when it was saved where hooks ask for that; else it is not involved. What was
//! written takes its place when the call and all its other outputs have ended well, and is thrown away otherwise. A worker
//! that dies takes it along: dataset types write to files without a name.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_api::abi::{Call, Failure, failure_kind, operation};

use super::abi::{self, Argument, CallState, Chunk, Expected, SaveChunk, Setting, Spare};
use super::link::Link;
use super::partitions;
use super::perform::Worker;
use crate::ipc::message::{ChunkPort, FromWorker, InputValue, SavedChunks};
use crate::ipc::page::WorkerPage;
use crate::zygote::Plugin;

/// All ports of a call whose chunks are saved.
pub(super) struct ChunkSavers<'a> {
    link: &'a Link,
    page: &'a WorkerPage,
    spare: &'a Spare,
    token: u64,
    savers: Vec<Saver<'a>>,
    /// The port that failed first.
    failed: Mutex<Option<u32>>,
}

/// One of them.
struct Saver<'a> {
    to: ChunkPort,
    plugin: &'a Plugin,
    /// What failures are about: `dataset type a::b`.
    of: String,
    state: Mutex<State>,
    /// The names of its partitions, where those that were there before are to go.
    names: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    chunks: u64,
    bytes: u64,
    /// Whether there may be a session to give up.
    is_open: bool,
}

impl<'a> ChunkSavers<'a> {
    pub(super) fn new(worker: &'a Worker<'a>, token: u64, ports: Vec<ChunkPort>) -> Result<ChunkSavers<'a>, Failure> {
        let Worker { link, page, plugins, spare, .. } = worker;
        let saver = |to: ChunkPort| {
            let plugin = abi::plugin(plugins, to.plugin)?;
            let found = abi::entry(plugin, "dataset type", &plugin.description.datasets, to.dataset_type)?;
            let of = format!("dataset type `{}::{}`", plugin.description.name, found.name);
            Ok(Saver {
                to,
                plugin,
                of,
                state: Mutex::new(State { is_open: true, ..State::default() }),
                names: Mutex::default(),
            })
        };
        let savers = ports.into_iter().map(saver).collect::<Result<_, Failure>>()?;
        Ok(ChunkSavers { link, page, spare, token, savers, failed: Mutex::default() })
    }

    /// Puts everything that was written in its place. The first failure ends it.
    pub(super) fn finish(&self) -> Result<Vec<SavedChunks>, Failure> {
        let finish = |saver: &Saver<'_>| {
            saver.state().is_open = false;
            if saver.to.partitions.is_none() {
                self.operate(saver, operation::FINISH, None).inspect_err(|_| self.note(saver))?;
            }
            let State { chunks, bytes, .. } = *saver.state();
            Ok(SavedChunks { port: saver.to.port, chunks, bytes })
        };
        let saved = self.savers.iter().map(finish).collect::<Result<_, Failure>>()?;
        // Last of all, so that a call that fails takes nothing away.
        self.savers.iter().try_for_each(|saver| saver.remove_others().inspect_err(|_| self.note(saver)))?;
        Ok(saved)
    }

    /// Throws away what was written and is not in its place; gives the port whose chunks could not be saved, if there is one.
    pub(super) fn abandon(&self) -> Option<u32> {
        for saver in &self.savers {
            // Partitions are files of their own, whole when they were given.
            if std::mem::take(&mut saver.state().is_open) && saver.to.partitions.is_none() {
                // The call has failed already, and that is what is told.
                let _ = self.operate(saver, operation::ABANDON, None);
            }
        }
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, saver: &Saver<'_>) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(saver.to.port);
    }

    fn operate(&self, saver: &Saver<'_>, operation: u32, chunk: Option<Chunk>) -> Result<(), Failure> {
        let argument = saver.to.argument.as_str();
        self.operate_with(saver, operation, argument, chunk)
    }

    fn operate_with(
        &self,
        saver: &Saver<'_>,
        operation: u32,
        argument: &str,
        chunk: Option<Chunk>,
    ) -> Result<(), Failure> {
        let (inputs, files): (Vec<InputValue>, Vec<_>) = match chunk.map(Chunk::into_input) {
            Some((input, files)) => (vec![input], files),
            None => (Vec::new(), Vec::new()),
        };
        let setting = Setting::new(Argument::Given(argument), self.token, self.page, self.link, self.spare);
        let setting = Setting { is_inner: true, ..setting };
        let state = CallState::new(&setting, inputs, files, Expected::any_of(saver.of.clone(), 0))?;
        let call_dataset = saver.plugin.module.call_dataset();
        call_dataset(saver.to.dataset_type, operation, Call::new(&state)).into_result().map(drop)
    }
}

impl SaveChunk for ChunkSavers<'_> {
    fn save(&self, port: u32, name: &str, chunk: Chunk) -> Result<(), Failure> {
        let saver = self.savers.iter().find(|saver| saver.to.port == port).ok_or_else(|| {
            Failure::new(failure_kind::OUTPUT, format!("a chunk of output port {port} came, and none is to be saved"))
        })?;
        let token = self.token;
        // A hook refused it: the server knows why, and says so in place of this.
        let refused = |reason: String| Failure::new(failure_kind::ERROR, reason);
        let size = chunk.size();
        if saver.to.announced {
            let (claim, file) = chunk.claim(port);
            let files: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
            self.link.ask(token, &FromWorker::Chunk { token, chunk: claim }, &files).map_err(refused)?;
        }
        let saved = match &saver.to.partitions {
            None => self.operate(saver, operation::APPEND, Some(chunk)),
            Some(files) => partitions::argument_for(&saver.to.argument, name, &files.suffix)
                .and_then(|argument| self.operate_with(saver, operation::SAVE, &argument, Some(chunk))),
        };
        saved.inspect_err(|_| self.note(saver))?;
        if saver.to.partitions.as_ref().is_some_and(|files| files.overwrite) {
            saver.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        {
            let mut state = saver.state();
            state.chunks += 1;
            state.bytes = state.bytes.saturating_add(size);
        }
        match saver.to.announced {
            true => self.link.ask(token, &FromWorker::ChunkSaved { token }, &[]).map_err(refused),
            false => Ok(()),
        }
    }
}

impl Saver<'_> {
    /// Removes the partitions that were there before, where the new ones take their place.
    fn remove_others(&self) -> Result<(), Failure> {
        let Some(files) = self.to.partitions.as_ref().filter(|files| files.overwrite) else { return Ok(()) };
        let (dataset, directory) = partitions::place(&self.to.argument)?;
        let kept = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nothing was ever saved there need be no directory.
        if kept.is_empty() && !std::path::Path::new(&directory).exists() {
            return Ok(());
        }
        partitions::remove_others(&dataset, &directory, files, &kept)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
