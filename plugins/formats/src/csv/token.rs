//! Cuts CSV text into records and fields (RFC 4180, any one-byte delimiter and quote, `\n` or `\r\n`).
//!
//! Own rather than a crate's because it has to tell three things that general readers do not: whether a field was quoted
//! (`""` is an empty text, an empty field is a missing value), the physical line for errors, and that a record
//! is not complete yet, so that a file can be read piece by piece while it is still being unpacked.

use memchr::{memchr, memchr2};

/// The characters a file is written with.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Stands between fields.
    pub delimiter: u8,
    /// Encloses fields that contain a delimiter, a quote or a line break.
    pub quote: u8,
}

/// Where one field's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    start: usize,
    end: usize,
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Whether the bytes are in the record's own buffer, since a doubled quote had to be undone.
    unescaped: bool,
}

/// One record, used again for the next.
#[derive(Debug, Default)]
pub struct Record {
    /// Its fields, from left to right.
    pub fields: Vec<Field>,
    /// The line it begins on, counted from 1.
    pub line: u64,
    unescaped: Vec<u8>,
}

impl Record {
    /// The bytes of a field; `text` is what the record was cut from.
    pub fn bytes<'a>(&'a self, text: &'a [u8], field: Field) -> &'a [u8] {
        if field.unescaped { &self.unescaped[field.start..field.end] } else { &text[field.start..field.end] }
    }
}

/// What was found at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole record.
    Record,
    /// The text ends within a record; give the same bytes again with more behind them.
    Incomplete,
    /// No record is left.
    End,
}

/// Text that is no CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The physical line, counted from 1.
    pub line: u64,
    /// What is wrong there.
    pub message: &'static str,
}

/// Walks over a piece of a CSV file.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The first byte not consumed.
    pub position: usize,
    /// The line that byte is on, counted from 1.
    pub line: u64,
}

impl Cursor {
    /// Cuts the next record out of `text`; `is_last` says that no more text will come.
    pub fn next(
        &mut self,
        text: &[u8],
        is_last: bool,
        dialect: Dialect,
        record: &mut Record,
    ) -> Result<Found, Malformed> {
        self.skip_blank_lines(text);
        if self.position == text.len() {
            return Ok(if is_last { Found::End } else { Found::Incomplete });
        }
        record.fields.clear();
        record.line = self.line;
        record.unescaped.clear();
        let mut at = self.position;
        let mut lines = 0;
        loop {
            let (end, ending) = if text.get(at) == Some(&dialect.quote) {
                match quoted(text, at, is_last, dialect, record, &mut lines) {
                    Ok(found) => found,
                    Err(message) => return Err(Malformed { line: self.line, message }),
                }
            } else {
                let end = find(dialect.delimiter, text, at);
                (end, self.push_plain(text, at, end, is_last, dialect, record))
            };
            match ending {
                Ending::Delimiter => at = end + 1,
                Ending::Record => {
                    self.position = (end + 1).min(text.len());
                    self.line += lines + 1;
                    return Ok(Found::Record);
                }
                Ending::Unknown => return Ok(Found::Incomplete),
            }
        }
    }

    fn push_plain(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        is_last: bool,
        dialect: Dialect,
        record: &mut Record,
    ) -> Ending {
        let ending = match text.get(end) {
            Some(&byte) if byte == dialect.delimiter => Ending::Delimiter,
            Some(_) => Ending::Record,
            None if is_last => Ending::Record,
            None => return Ending::Unknown,
        };
        let carriage_return = ending == Ending::Record && end > start && text[end - 1] == b'\r';
        let end = if carriage_return { end - 1 } else { end };
        record.fields.push(Field { start, end, quoted: false, unescaped: false });
        ending
    }

    fn skip_blank_lines(&mut self, text: &[u8]) {
        loop {
            match &text[self.position..] {
                [b'\n', ..] => self.position += 1,
                [b'\r', b'\n', ..] => self.position += 2,
                _ => return,
            }
            self.line += 1;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Delimiter,
    Record,
    Unknown,
}

/// The first delimiter or line break from `at` on. Most fields are a few bytes long, which is where a plain loop wins.
#[inline]
fn find(delimiter: u8, text: &[u8], at: usize) -> usize {
    let near = text.len().min(at + 16);
    for (offset, &byte) in text[at..near].iter().enumerate() {
        if byte == delimiter || byte == b'\n' {
            return at + offset;
        }
    }
    memchr2(delimiter, b'\n', &text[near..]).map_or(text.len(), |offset| near + offset)
}

/// Reads a quoted field that opens at `at`; gives where it ended and with what.
fn quoted(
    text: &[u8],
    at: usize,
    is_last: bool,
    dialect: Dialect,
    record: &mut Record,
    lines: &mut u64,
) -> Result<(usize, Ending), &'static str> {
    let first = at + 1;
    let unescaped_start = record.unescaped.len();
    let mut from = first;
    let mut has_escapes = false;
    let close = loop {
        let Some(offset) = memchr(dialect.quote, &text[from..]) else {
            return if is_last { Err("a quoted field is never closed") } else { Ok((from, Ending::Unknown)) };
        };
        let close = from + offset;
        match text.get(close + 1) {
            Some(&next) if next == dialect.quote => {
                record.unescaped.extend_from_slice(&text[from..=close]);
                has_escapes = true;
                from = close + 2;
            }
            None if !is_last => return Ok((close, Ending::Unknown)),
            _ => break close,
        }
    };
    *lines += memchr::memchr_iter(b'\n', &text[first..close]).count() as u64;
    let (start, end) = if has_escapes {
        record.unescaped.extend_from_slice(&text[from..close]);
        (unescaped_start, record.unescaped.len())
    } else {
        (first, close)
    };
    record.fields.push(Field { start, end, quoted: true, unescaped: has_escapes });
    match &text[close + 1..] {
        [] | [b'\n', ..] => Ok((close + 1, Ending::Record)),
        [b'\r'] if !is_last => Ok((close + 1, Ending::Unknown)),
        [b'\r', b'\n', ..] | [b'\r'] => Ok((close + 2, Ending::Record)),
        [next, ..] if *next == dialect.delimiter => Ok((close + 1, Ending::Delimiter)),
        _ => Err("text follows the closing quote of a field"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect { delimiter: b',', quote: b'"' };

    /// Cuts `text` whole, then again in every pair of pieces, and expects the same records.
    fn check(text: &str, expected: &[&[&str]]) {
        for split in 0..=text.len() {
            let mut records = Vec::new();
            let mut cursor = Cursor { position: 0, line: 1 };
            let mut record = Record::default();
            for (piece, is_last) in [(&text.as_bytes()[..split], false), (text.as_bytes(), true)] {
                while cursor.next(piece, is_last, DIALECT, &mut record) == Ok(Found::Record) {
                    let fields = record.fields.iter();
                    records.push(
                        fields
                            .map(|field| String::from_utf8_lossy(record.bytes(piece, *field)).into_owned())
                            .collect::<Vec<_>>(),
                    );
                }
            }
            assert_eq!(records, expected, "{text:?} split at {split}");
        }
    }

    #[test]
    fn cuts_records_however_the_text_arrives() {
        check("a,b\n1,2\n", &[&["a", "b"], &["1", "2"]]);
        check("a,b\r\n1,2", &[&["a", "b"], &["1", "2"]]);
        check("\n\na,,\r\n\r\n,\n", &[&["a", "", ""], &["", ""]]);
        check("\"a,\"\"b\"\"\nc\",d\r\ne,\"\"\n", &[&["a,\"b\"\nc", "d"], &["e", ""]]);
        check("a field longer than sixteen bytes,x\"y\n", &[&["a field longer than sixteen bytes", "x\"y"]]);
        check("", &[]);
    }

    #[test]
    fn counts_physical_lines() {
        let text = b"a\n\"b\nc\"\n\nd\n";
        let mut cursor = Cursor { position: 0, line: 1 };
        let mut record = Record::default();
        let mut lines = Vec::new();
        while cursor.next(text, true, DIALECT, &mut record) == Ok(Found::Record) {
            lines.push(record.line);
        }
        assert_eq!(lines, [1, 2, 5]);
    }

    #[test]
    fn names_the_line_of_a_broken_quote() {
        let mut record = Record::default();
        let mut cursor = Cursor { position: 0, line: 7 };
        let open = cursor.next(b"a,\"b\nc", true, DIALECT, &mut record);
        assert_eq!(open, Err(Malformed { line: 7, message: "a quoted field is never closed" }));
        let mut cursor = Cursor { position: 0, line: 7 };
        let followed = cursor.next(b"\"b\"c\n", true, DIALECT, &mut record);
        assert_eq!(followed, Err(Malformed { line: 7, message: "text follows the closing quote of a field" }));
    }
}
