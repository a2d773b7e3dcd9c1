//! Handing resident blocks to somebody who outlives this process, and taking them back.
//!
//! The block is a sealed file; what else must be known of it is a JSON text. What comes back is a claim like any worker's: the file
//! is checked by [`ClaimedBlock::adopt`], and the fingerprint is compared whenever a run asks, as for any other.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Fingerprint, Key, Resident, Residents, Slot};
use crate::block::adopt::{BlockProblem, ClaimedBlock, ClaimedBytes};

/// A resident block as it leaves the process.
#[derive(Debug)]
pub struct Deposit {
    /// A name that is the same for the same dataset, of letters, digits and `-`: at most 50.
    pub name: String,
    /// The block's file, sealed.
    pub file: OwnedFd,
    /// What else is known of it, JSON.
    pub metadata: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    key: Key,
    fingerprint: Fingerprint,
    names: BTreeSet<String>,
    format: String,
    bytes: u64,
    loaded_us: i64,
}

/// Why a deposit was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum DepositProblem {
    /// Its metadata are not ours.
    #[error("the metadata of {name} cannot be read: {source}")]
    Metadata {
        /// Whose.
        name: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Its file is no block.
    #[error("the file of {name} is refused: {source}")]
    Block {
        /// Whose.
        name: String,
        /// What is wrong.
        source: BlockProblem,
    },
}

impl Key {
    /// A name for it, the same in every process.
    fn deposit_name(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.dataset_type, &self.path, &self.options_json, &self.library] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("resident-{hex}")
    }
}

impl Residents {
    /// Every resident block there is, with a descriptor of its own. One whose file cannot be had is left out: it would be loaded
    /// again.
    pub fn deposits(&self) -> Vec<Deposit> {
        let there: Vec<Arc<Resident>> = (self.lock().slots.values())
            .filter_map(|slot| match slot {
                Slot::There(resident) => Some(Arc::clone(resident)),
                Slot::Loading(_) => None,
            })
            .collect();
        // What needs credentials stays with the process that was given them.
        let open = there.iter().filter(|resident| resident.key.credentials == 0);
        open.filter_map(|resident| resident.deposit()).collect()
    }

    /// Takes a block back. One that is there already stays as it is.
    pub fn adopt(&self, deposit: Deposit) -> Result<(), DepositProblem> {
        let Deposit { name, file, metadata } = deposit;
        let metadata: Metadata = serde_json::from_str(&metadata)
            .map_err(|source| DepositProblem::Metadata { name: name.clone(), source })?;
        let bytes = ClaimedBytes::Memfd { file, size: metadata.bytes };
        let claim = ClaimedBlock { port: 0, format: metadata.format, metadata: String::new(), bytes };
        let block = claim.adopt(&self.accounts).map_err(|source| DepositProblem::Block { name, source })?;
        let charge = self.budget.charge(block.size());
        let resident = Arc::new(Resident {
            key: metadata.key.clone(),
            block,
            fingerprint: metadata.fingerprint,
            loaded_us: metadata.loaded_us,
            used_us: AtomicI64::new(metadata.loaded_us),
            readers: AtomicU64::new(0),
            names: Mutex::new(metadata.names),
            _charge: charge,
        });
        let mut table = self.lock();
        // Of two the one that is there stays; the other goes when the lock has been let go.
        let surplus = match table.slots.entry(metadata.key) {
            Entry::Vacant(place) => {
                place.insert(Slot::There(resident));
                None
            }
            Entry::Occupied(_) => Some(resident),
        };
        drop(table);
        drop(surplus);
        Ok(())
    }
}

impl Resident {
    fn deposit(&self) -> Option<Deposit> {
        let (file, bytes) = self.block.to_file().ok()?;
        let metadata = Metadata {
            key: self.key.clone(),
            fingerprint: self.fingerprint.clone(),
            names: self.names().into_iter().collect(),
            format: self.block.format().to_string(),
            bytes,
            loaded_us: self.loaded_us,
        };
        Some(Deposit { name: self.key.deposit_name(), file, metadata: serde_json::to_string(&metadata).ok()? })
    }
}
