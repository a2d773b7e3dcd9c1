//! Handing outputs that were asked for to somebody who outlives this process, and taking them back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Kept, Output, Outputs, Place};
use crate::block::Accounts;
use crate::block::adopt::{ClaimedBlock, ClaimedBytes};
use crate::server::keeping::OUTPUT;
use crate::server::service::Stored;

/// What must be known of an output beside its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    run: String,
    output: String,
    format: String,
    bytes: u64,
    expires_us: i64,
}

/// A name that is the same for the same output.
fn name_of(run: &str, output: &str) -> String {
    let mut hash = Sha256::new();
    for part in [run, output] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{OUTPUT}{hex}")
}

impl Outputs {
    /// Every output in memory that was asked for and not fetched, with a descriptor of its own.
    pub fn deposits(&self) -> Vec<Stored> {
        let table = self.lock();
        let mut deposits = Vec::new();
        for (run, outputs) in table.iter() {
            for (name, output) in outputs.iter().filter(|(_, output)| output.is_wanted) {
                let Some(Place::Memory(kept)) = &output.place else { continue };
                // One whose file cannot be had ends with the daemon, as all did before.
                let Ok((file, bytes)) = kept.block.to_file() else { continue };
                let about = About {
                    run: run.to_owned(),
                    output: name.to_owned(),
                    format: kept.block.format().to_string(),
                    bytes,
                    expires_us: self.clock.unix_us(outputs.expires),
                };
                let Ok(about) = serde_json::to_string(&about) else { continue };
                deposits.push(Stored { name: name_of(run, name), file, about });
            }
        }
        deposits
    }

    /// Takes an output back, for as long as it had left.
    pub fn adopt(self: &Arc<Outputs>, entry: Stored, accounts: &Arc<Accounts>) -> Result<(), String> {
        let Stored { name, file, about } = entry;
        let about: About = serde_json::from_str(&about).map_err(|error| format!("what is known of {name}: {error}"))?;
        let bytes = ClaimedBytes::Memfd { file, size: about.bytes };
        let claim = ClaimedBlock { port: 0, format: about.format, metadata: String::new(), bytes };
        let block = claim.adopt(accounts).map_err(|error| format!("the file of {name} is refused: {error}"))?;
        let charge = self.budget.charge(block.size());
        let now = self.clock.now();
        let left_us = u64::try_from(about.expires_us.saturating_sub(self.clock.unix_us(now))).unwrap_or(0);
        let expires = now.after(left_us);
        let place = Some(Place::Memory(Arc::new(Kept { block, _charge: Some(charge) })));
        let output = Output { storage: None, place, is_wanted: true };
        self.lock().adopt(&about.run, now, expires, about.output, output);
        self.wake_at(expires);
        Ok(())
    }
}
