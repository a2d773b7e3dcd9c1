//! At start: what the journal holds and the database does not is brought into the database.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::journal::{FILE_NAME, Journal};
use super::sync::Sync;
use super::{StoreError, read, write};

/// Opens the journal of a database that was just opened; nothing of it is needed any more then. None, and the database is written at once, where there
/// is no room for it.
pub(super) fn open_journal(
    directory: &Path,
    connection: &mut Connection,
    sync: &Sync,
) -> Result<Option<Journal>, StoreError> {
    let path = directory.join(FILE_NAME);
    let failed = |error| StoreError::sqlite(format!("bring {} into the database", path.display()), &error);
    let (applied, secret) = read::journal(connection).map_err(failed)?;
    let cannot = |error| StoreError::io(format!("read the journal {}", path.display()), &error);
    let (mut journal, found) = Journal::open(&path, secret, applied).map_err(cannot)?;
    if !found.is_empty() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for (_, said) in &found {
            write::finish(&transaction, said.new.as_ref(), &said.detail).map_err(failed)?;
        }
        write::set_applied(&transaction, journal.last()).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        sync.sync().map_err(cannot)?;
        log::info!("the ends of {} runs were found in {}", found.len(), path.display());
    }
    match journal.prepare(&path) {
        Ok(()) => Ok(Some(journal)),
        Err(error) => {
            log::warn!("{} cannot be written: {error}; the database is written at once instead", path.display());
            Ok(None)
        }
    }
}
