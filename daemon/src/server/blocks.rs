//! Every block in memory, as the API lists it, and the eviction of resident ones.
#![forbid(unsafe_code)]

use protocol::{BlockHolder, BlockInfo, BlockList, EvictRequest, Eviction};

use crate::block::Block;
use crate::server::residents::{ResidentInfo, Residents};
use crate::server::runs::Run;
use crate::server::uploads::Upload;

/// Why nothing was evicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvictError {
    /// Neither names nor all.
    #[error("nothing is named: give the names of resident datasets, or ask for all")]
    Nothing,
    /// There are no resident datasets of these names; nothing was dropped.
    #[error("{}", unknown_text(.names))]
    Unknown {
        /// The names, sorted.
        names: Vec<String>,
        /// What there is.
        known: Vec<String>,
    },
}

fn unknown_text(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    match names.len() {
        1 => format!("no resident dataset is called {}", quoted.join(", ")),
        _ => format!("no resident datasets are called {}", quoted.join(", ")),
    }
}

/// What a format's bytes are, in the words that ports use.
pub fn kind_of(format: &str) -> &str {
    if format == "arrow" { "table" } else { format }
}

/// A resident dataset.
pub fn resident(info: ResidentInfo) -> BlockInfo {
    BlockInfo {
        name: info.names.join(", "),
        holder: BlockHolder::Resident,
        run: None,
        kind: kind_of(info.block.format).to_owned(),
        format: info.block.format.to_owned(),
        bytes: info.block.bytes,
        readers: info.readers,
        since_us: info.loaded_us,
        dataset_type: Some(info.key.dataset_type),
        path: Some(info.key.path),
        is_leaving: info.is_leaving,
    }
}

/// The blocks that a run holds for itself.
pub fn of_run(run: &Run) -> Vec<BlockInfo> {
    let blocks = run.held_blocks().into_iter().filter_map(|held| {
        let dataset = run.plan.dataset(held.dataset)?;
        let format = held.block.format().as_str();
        Some(BlockInfo {
            name: dataset.name.to_owned(),
            holder: BlockHolder::Run,
            run: Some(run.id.clone()),
            kind: kind_of(format).to_owned(),
            format: format.to_owned(),
            bytes: held.block.size(),
            readers: held.readers,
            since_us: held.since_us,
            dataset_type: dataset.storage.map(|storage| format!("{}::{}", storage.plugin_name, storage.type_name)),
            path: dataset.storage.map(|storage| storage.path.clone()),
            is_leaving: false,
        })
    });
    blocks.collect()
}

/// Bytes that wait for a run.
pub fn upload(upload: &Upload) -> BlockInfo {
    BlockInfo {
        name: upload.id.clone(),
        holder: BlockHolder::Upload,
        run: None,
        kind: "bytes".to_owned(),
        format: "bytes".to_owned(),
        bytes: upload.bytes,
        readers: 0,
        since_us: upload.since_us,
        dataset_type: None,
        path: None,
        is_leaving: false,
    }
}

/// An output of a run that is over: run, name, block, since when.
pub fn output((run, name, block, since_us): (String, String, Block, i64)) -> BlockInfo {
    let format = block.format().as_str();
    BlockInfo {
        name,
        holder: BlockHolder::Output,
        run: Some(run),
        kind: kind_of(format).to_owned(),
        format: format.to_owned(),
        bytes: block.size(),
        readers: 0,
        since_us,
        dataset_type: None,
        path: None,
        is_leaving: false,
    }
}

/// A list in its order.
pub fn list(mut blocks: Vec<BlockInfo>) -> BlockList {
    blocks.sort_by(|one, other| {
        (one.holder, &one.run, one.is_leaving, &one.name).cmp(&(
            other.holder,
            &other.run,
            other.is_leaving,
            &other.name,
        ))
    });
    BlockList { blocks }
}

/// Drops resident datasets; all of the names must be known, or nothing happens.
pub fn evict(residents: &Residents, request: &EvictRequest) -> Result<Eviction, EvictError> {
    if request.names.is_empty() && !request.all {
        return Err(EvictError::Nothing);
    }
    let is_called =
        |info: &ResidentInfo, name: &str| info.names.iter().any(|known| known == name) || info.key.path == name;
    let there: Vec<ResidentInfo> = residents.list().into_iter().filter(|info| !info.is_leaving).collect();
    let mut unknown: Vec<String> =
        request.names.iter().filter(|name| !there.iter().any(|info| is_called(info, name))).cloned().collect();
    if !unknown.is_empty() {
        unknown.sort();
        unknown.dedup();
        let known = there.into_iter().flat_map(|info| info.names).collect();
        return Err(EvictError::Unknown { names: unknown, known });
    }
    let chosen = residents.evict(|info| request.all || request.names.iter().any(|name| is_called(info, name)));
    let (leaving, dropped) = chosen.into_iter().map(resident).partition(|info| info.is_leaving);
    Ok(Eviction { dropped, leaving })
}
