//! A first look at a file that should be a shared library: cheap, pure, and clearer than what `dlopen` would say.

use std::fmt;

/// As much of a file as is looked at first.
pub const HEADER_BYTES: usize = 64;

/// The header has at least these bytes in files of any class.
const IDENTITY_BYTES: usize = 20;

const MAGIC: [u8; 4] = *b"\x7fELF";
/// The file type of a shared object (`ET_DYN`).
const SHARED_OBJECT: u16 = 3;

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub enum ElfProblem {
    /// It does not begin as an ELF file does.
    NotElf {
        /// How it begins.
        found: Vec<u8>,
    },
    /// It is for another machine.
    Machine {
        /// This binary's class, byte order and machine.
        expected: (u8, u8, u16),
        /// The file's.
        found: (u8, u8, u16),
    },
    /// It ends before its contents do: it is still being written, or was not copied whole.
    Truncated {
        /// How many bytes it needs.
        expected: u64,
        /// How many it has.
        found: u64,
    },
    /// It is no shared object.
    Type {
        /// The type it is.
        found: u16,
    },
}

impl fmt::Display for ElfProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfProblem::NotElf { found } if found.is_empty() => {
                formatter.write_str("it is no shared library: expected an ELF file, found an empty file")
            }
            ElfProblem::NotElf { found } => write!(
                formatter,
                "it is no shared library: expected an ELF file, found a file that begins with \"{}\"",
                found.escape_ascii()
            ),
            ElfProblem::Machine { expected, found } => write!(
                formatter,
                "it was built for another machine: expected {}, found {}",
                Machine(*expected),
                Machine(*found)
            ),
            ElfProblem::Truncated { expected, found } => {
                write!(formatter, "it is cut short: expected at least {expected} bytes, found {found}")
            }
            ElfProblem::Type { found } => {
                let found = match found {
                    1 => "an object file (.o)",
                    2 => "a program",
                    4 => "a core file",
                    _ => "something else",
                };
                write!(formatter, "it is no shared library: expected a shared object, found {found}")
            }
        }
    }
}

/// Class, byte order and machine, for people.
struct Machine((u8, u8, u16));

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, order, machine) = self.0;
        match machine {
            3 => formatter.write_str("x86")?,
            40 => formatter.write_str("Arm")?,
            62 => formatter.write_str("x86-64")?,
            183 => formatter.write_str("AArch64")?,
            243 => formatter.write_str("RISC-V")?,
            other => write!(formatter, "machine {other}")?,
        }
        let bits = if class == 2 { 64 } else { 32 };
        let order = if order == 2 { "big" } else { "little" };
        write!(formatter, " ({bits} bits, {order}-endian)")
    }
}

/// Checks a file's first bytes against those of the running binary, which is of the right kind for sure.
pub fn check(file: &[u8], own: &[u8]) -> Result<(), ElfProblem> {
    let not_elf = || ElfProblem::NotElf { found: file.iter().take(12).copied().collect() };
    let (found, kind) = fields(file).ok_or_else(not_elf)?;
    match fields(own) {
        Some((expected, _)) if expected != found => Err(ElfProblem::Machine { expected, found }),
        _ if kind != SHARED_OBJECT => Err(ElfProblem::Type { found: kind }),
        _ => Ok(()),
    }
}

/// `(class, byte order, machine)` and type.
fn fields(file: &[u8]) -> Option<((u8, u8, u16), u16)> {
    let header: &[u8; IDENTITY_BYTES] = file.first_chunk()?;
    if header[..4] != MAGIC {
        return None;
    }
    let number = |index: usize| {
        let bytes = [header[index], header[index + 1]];
        if header[5] == 2 { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    };
    Some(((header[4], header[5], number(18)), number(16)))
}

/// Where things are in a file that has passed [`check`], by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The table of segments: where it begins.
    pub segments: u64,
    /// The table of segments: how long it is.
    pub segments_length: usize,
    /// Where the table of sections ends; it is the last thing in a file that a linker wrote.
    sections_end: u64,
}

/// Finds the tables; `None` if this cannot read such files. `dlopen` maps segments without a look at the file's size,
/// and dies of SIGBUS where they end behind it; so the size is checked here.
pub fn tables(file: &[u8]) -> Option<Tables> {
    // 64-bit little-endian, the machines this is built for; on another the loader is on its own.
    if file.get(4..6) != Some(&[2, 1]) {
        return None;
    }
    let small = |at| chunk(file, at).map(u16::from_le_bytes).map(usize::from);
    let large = |at| chunk(file, at).map(u64::from_le_bytes);
    let sections = small(58)? * small(60)?;
    let found = Tables {
        segments: large(32)?,
        segments_length: small(54)? * small(56)?,
        sections_end: large(40)?.saturating_add(sections as u64),
    };
    (small(54)? == SEGMENT_BYTES).then_some(found)
}

/// Size of an entry in the table of segments.
const SEGMENT_BYTES: usize = 56;
/// The type of a segment that is mapped (`PT_LOAD`).
const LOADED: u32 = 1;

/// Checks that everything lies within a file of this size, `table` being as much of its table of segments as is there.
pub fn check_extent(tables: &Tables, table: &[u8], size: u64) -> Result<(), ElfProblem> {
    let tables_end = tables.segments.saturating_add(tables.segments_length as u64).max(tables.sections_end);
    if tables_end > size || table.len() < tables.segments_length {
        return Err(ElfProblem::Truncated { expected: tables_end, found: size });
    }
    for entry in table.chunks_exact(SEGMENT_BYTES) {
        let number = |at| chunk(entry, at).map_or(0, u64::from_le_bytes);
        let end = number(8).saturating_add(number(32));
        if chunk(entry, 0).map(u32::from_le_bytes) == Some(LOADED) && end > size {
            return Err(ElfProblem::Truncated { expected: end, found: size });
        }
    }
    Ok(())
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, order, 1, 0];
        bytes.resize(16, 0);
        for number in [kind, machine] {
            bytes.extend(if order == 2 { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        bytes
    }

    #[test]
    fn a_library_of_this_machine_passes_and_the_rest_is_named() {
        let own = header(2, 1, 3, 62);
        assert_eq!(check(&header(2, 1, 3, 62), &own), Ok(()));
        let say = |file: &[u8]| check(file, &own).map_err(|problem| problem.to_string()).err().unwrap_or_default();
        assert!(say(b"#!/bin/sh\nexit 0\n and more").contains("begins with \"#!/bin/sh\\nex\""));
        assert!(say(b"").contains("an empty file"));
        assert!(say(b"\x7fELF").contains("no shared library"));
        assert!(say(&header(2, 1, 3, 183)).contains("expected x86-64 (64 bits, little-endian), found AArch64"));
        assert!(say(&header(1, 2, 3, 62)).contains("found x86-64 (32 bits, big-endian)"));
        assert!(say(&header(2, 1, 2, 62)).contains("found a program"));
    }

    #[test]
    fn segments_lie_within_the_file() {
        let own = std::fs::read("/proc/self/exe").unwrap_or_default();
        let size = own.len() as u64;
        let Some(tables) = tables(&own) else { return };
        let table = &own[tables.segments as usize..][..tables.segments_length];
        assert!(!table.is_empty() && check_extent(&tables, table, size).is_ok());
        let cut = |table, size| check_extent(&tables, table, size).map_err(|problem| problem.to_string());
        assert!(cut(table, 5000).is_err_and(|said| said.contains("cut short") && said.contains("found 5000")));
        assert!(cut(table, size - 1).is_err() && cut(&table[1..], size).is_err());
        let without_sections = Tables { sections_end: 0, ..tables };
        assert!(check_extent(&without_sections, table, 5000).is_err());
        // Whatever the bytes are, there is an answer.
        let wild = Tables { segments: u64::MAX, segments_length: 5, sections_end: u64::MAX };
        assert!(check_extent(&wild, &[0xff; 300], 10).is_err());
        assert_eq!(super::tables(&own[..40]), None);
    }
}
