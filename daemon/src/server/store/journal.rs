//! The journal: reports of short runs, on disk before the database has them.
//!
//! Whoever waits for the end of a short run waits for the disk, so little is to be written until then, and once: a report goes here, a page
//! or two of 4 KiB in one write, and the run is told to have ended. The database gets it with what else has gathered ([`super::desk`]), in one commit
//! for many runs, while nobody waits. A commit by itself dirties seven to eleven pages of the database, all of which would have to be synced; and
//! its log is written in pieces that fit no page, for each of which the kernel first reads what is there if it has forgotten it.
//!
//! Nothing told is lost:
//! - A record counts when it is on the disk, and not before: the end is told after [`Journal::append`].
//! - Records are numbered. The database says in the same commit that it has what records up to a number hold, so after a crash of whatever kind exactly those
//!   beyond that number are missing there, and [`Journal::open`] gives them.
//! - The place of a record is used again when that commit is known to be on the disk ([`Journal::release`]). When there is no place, the database is
//!   written at once, as it is for long reports.
//! - A record that was torn by the crash was told to nobody. Its checksum, which begins with a secret of this database, says so; so do those of
//!   pages within a record, whatever a client may have written there, and of the journal of another database.
//!
//! After an error of the disk it is not written any more: the database is, and says what becomes of it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use protocol::RunDetail;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::NewRun;

/// Name of the journal in the state directory.
pub(super) const FILE_NAME: &str = "dagd.journal";

/// Records begin at multiples of this, so that no write has to read what it does not replace.
const PAGE_BYTES: usize = 4096;

/// How many pages there are: the runs of a tenth of a second at least.
const PAGES: usize = 512;

/// A record of more pages is too long: what takes as long to write may as well be written to the database.
const RECORD_PAGES_MAX: usize = 8;

/// After how many bytes the pages of the memory that is written from begin: what goes to the disk without a copy must.
const MARGIN_BYTES: usize = PAGE_BYTES;

/// So much memory is kept for the next records.
const KEPT_BYTES: usize = 256 << 10;

/// The checksum, the number and the length of a record stand before it.
const HEAD_BYTES: usize = 32 + 8 + 4;

/// What a record says: a run ended.
#[derive(Serialize)]
pub(super) struct Said<'a> {
    /// The run as it was accepted, unless the database is known to have it.
    pub(super) new: Option<&'a NewRun>,
    /// Its report.
    pub(super) detail: &'a RunDetail,
}

/// The same, read again.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) new: Option<NewRun>,
    pub(super) detail: RunDetail,
}

/// The journal of one database.
#[derive(Debug)]
pub(super) struct Journal {
    /// Opened so that a write returns when it is on the disk.
    file: File,
    secret: Vec<u8>,
    last: u64,
    /// The page behind the record that was written last.
    head: usize,
    /// Records that must not be overwritten, oldest first: number, and first page.
    held: VecDeque<(u64, usize)>,
    /// What was said last, and its records behind a margin.
    text: Vec<u8>,
    pages: Vec<u8>,
}

impl Journal {
    /// Opens the journal, making it if it is not there, and gives what it holds beyond record `applied`, oldest first. Once those are in the
    /// database, and on disk, all of it is free.
    pub(super) fn open(path: &Path, secret: Vec<u8>, applied: u64) -> io::Result<(Journal, Vec<(u64, Found)>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut found = Vec::new();
        // Bit by bit: a large piece of memory would stay with the process.
        let mut bytes = vec![0; RECORD_PAGES_MAX * PAGE_BYTES];
        let (mut last, mut page) = (applied, 0);
        while page < PAGES {
            // Zeros behind the end.
            bytes.fill(0);
            let held = read_at(&file, &mut bytes[..PAGE_BYTES], page)?;
            if held > 0 && count(&bytes).is_some_and(|count| count > 1) {
                read_at(&file, &mut bytes, page)?;
            }
            let Some((number, text)) = read(&bytes, &secret) else {
                page += 1;
                continue;
            };
            page += pages(text.len());
            last = last.max(number);
            if number > applied {
                match serde_json::from_slice(text) {
                    Ok(said) => found.push((number, said)),
                    Err(error) => log::error!("record {number} of {} cannot be read: {error}", path.display()),
                }
            }
        }
        found.sort_by_key(|(number, _)| *number);
        let journal =
            Journal { file, secret, last, head: 0, held: VecDeque::new(), text: Vec::new(), pages: Vec::new() };
        Ok((journal, found))
    }

    /// Makes it ready to be written, as all of it is free. The file is made as large as it may become: a write that need not note a new size takes
    /// the disk half the time. One that goes around the kernel's cache, where the file system knows that, takes a fifth less.
    pub(super) fn prepare(&mut self, path: &Path) -> io::Result<()> {
        let (mut length, full) = (self.file.metadata()?.len(), (PAGES * PAGE_BYTES) as u64);
        if length < full {
            let zeros = [0; 16 << 10];
            while length < full {
                let count = usize::try_from(full - length).map_or(zeros.len(), |left| left.min(zeros.len()));
                self.file.write_all_at(&zeros[..count], length)?;
                length += count as u64;
            }
            self.file.sync_all()?;
            // Its name, too.
            path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())?;
        }
        let open = |flags: OFlag| OpenOptions::new().write(true).custom_flags(flags.bits()).open(path);
        let mut try_to = |file: File| {
            self.file = file;
            self.blank();
            self.write(0, 1)
        };
        // Some refuse the flag, some the write.
        match open(OFlag::O_DSYNC | OFlag::O_DIRECT).and_then(&mut try_to) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => open(OFlag::O_DSYNC).and_then(try_to),
            tried => tried,
        }
    }

    /// Writes records and brings them to the disk; gives the number of the first. None, and nothing is written, where there is no room for them.
    pub(super) fn append(&mut self, records: &[Said<'_>]) -> io::Result<Option<u64>> {
        self.pages.clear();
        self.pages.resize(MARGIN_BYTES, 0);
        let mut places = Vec::with_capacity(records.len());
        for (number, said) in (self.last + 1..).zip(records) {
            self.text.clear();
            serde_json::to_writer(&mut self.text, said)?;
            let count = pages(self.text.len());
            let Some(length) = u32::try_from(self.text.len()).ok().filter(|_| count <= RECORD_PAGES_MAX) else {
                return Ok(None);
            };
            let start = self.pages.len();
            places.push((number, (start - MARGIN_BYTES) / PAGE_BYTES));
            self.pages.extend_from_slice(&[0; 32]);
            self.pages.extend_from_slice(&number.to_le_bytes());
            self.pages.extend_from_slice(&length.to_le_bytes());
            self.pages.extend_from_slice(&self.text);
            let sum = checksum(&self.secret, &self.pages[start + 32..]);
            self.pages[start..start + 32].copy_from_slice(&sum);
            self.pages.resize(start + count * PAGE_BYTES, 0);
        }
        let count = (self.pages.len() - MARGIN_BYTES) / PAGE_BYTES;
        let Some(first_page) = self.place(count) else { return Ok(None) };
        self.write(first_page, count)?;
        if self.pages.capacity() > KEPT_BYTES {
            self.pages = Vec::new();
        }
        let first = self.last + 1;
        self.last += places.len() as u64;
        self.head = first_page + count;
        self.held.extend(places.into_iter().map(|(number, page)| (number, first_page + page)));
        Ok(Some(first))
    }

    /// Frees the place of records up to this number: the database has them, on disk.
    pub(super) fn release(&mut self, number: u64) {
        while self.held.front().is_some_and(|(held, _)| *held <= number) {
            self.held.pop_front();
        }
    }

    /// Number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// One page of nothing.
    fn blank(&mut self) {
        self.pages.clear();
        self.pages.resize(MARGIN_BYTES + PAGE_BYTES, 0);
    }

    /// Writes so many pages from the memory, and returns when they are on the disk.
    fn write(&mut self, first_page: usize, count: usize) -> io::Result<()> {
        // The pages of memory do not begin where ours do: ours are moved to where one does.
        let length = count * PAGE_BYTES;
        let start = self.pages.as_ptr().align_offset(PAGE_BYTES).min(MARGIN_BYTES);
        self.pages.copy_within(MARGIN_BYTES..MARGIN_BYTES + length, start);
        self.file.write_all_at(&self.pages[start..start + length], (first_page * PAGE_BYTES) as u64)
    }

    /// The first of so many pages in a row that are free.
    fn place(&self, count: usize) -> Option<usize> {
        let fits = |first: usize, end: usize| (first + count <= end).then_some(first);
        match self.held.front() {
            None => fits(0, PAGES),
            // What is held lies between the oldest and the head, or around the end.
            Some((_, oldest)) if *oldest < self.head => fits(self.head, PAGES).or_else(|| fits(0, *oldest)),
            Some((_, oldest)) => fits(self.head, *oldest),
        }
    }
}

fn pages(length: usize) -> usize {
    (HEAD_BYTES + length).div_ceil(PAGE_BYTES)
}

fn checksum(secret: &[u8], rest: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(secret).chain_update(rest).finalize().into()
}

/// Fills this from a page on, as far as there is something; says how far that is.
fn read_at(file: &File, bytes: &mut [u8], page: usize) -> io::Result<usize> {
    let mut held = 0;
    while held < bytes.len() {
        match file.read_at(&mut bytes[held..], (page * PAGE_BYTES + held) as u64) {
            Ok(0) => break,
            Ok(count) => held += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

/// How many pages the record that begins here would have, if it can be one.
fn count(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(bytes.get(40..HEAD_BYTES)?.try_into().ok()?);
    Some(pages(usize::try_from(length).ok()?)).filter(|count| *count <= RECORD_PAGES_MAX)
}

/// The record that begins here, if there is one.
fn read<'a>(bytes: &'a [u8], secret: &[u8]) -> Option<(u64, &'a [u8])> {
    let number = u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?);
    let length = usize::try_from(u32::from_le_bytes(bytes.get(40..44)?.try_into().ok()?)).ok()?;
    let said = bytes.get(32..HEAD_BYTES.checked_add(length)?)?;
    let is_whole = checksum(secret, said) == bytes[..32];
    is_whole.then(|| (number, &said[HEAD_BYTES - 32..]))
}
