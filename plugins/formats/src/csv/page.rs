//! Cuts many plain records at once: those without quotes, of as many fields as the file has columns.
//!
//! That is what nearly all records of nearly all files are. Comparing 64 bytes at a time is done by vector instructions, and
//! with the places of all fields of a page at hand its columns are built one after the other, each in a loop of its own.
//! Whatever is not plain is left to [`Cursor`](super::token::Cursor), record by record.

use super::cell::Cell;
use super::token::Dialect;

/// So much text makes a page: with the places of its fields it stays in the cache until the last column is built.
const PAGE_BYTES: usize = 64 << 10;
/// Bytes that are compared at once.
const STEP: usize = 64;

/// A run of plain records.
#[derive(Debug, Default)]
pub struct Page {
    /// Where each field begins, record after record, and where the field after the last one would: a field ends one byte before the
    /// next one begins. From where the page begins in its text. Longer than is used.
    marks: Vec<u32>,
    /// Fields of a record.
    width: usize,
    rows: usize,
}

/// What is being cut.
struct Cut<'a> {
    marks: &'a mut [u32],
    /// Fields that have ended.
    fields: usize,
    /// Records that have ended, and how many may.
    rows: usize,
    rows_max: usize,
    width: usize,
    dialect: Dialect,
}

impl Page {
    /// Cuts as many plain records as there are at `at`, one after the other, but no more than `rows_max` and about a page.
    /// Gives where they end.
    pub fn cut(&mut self, text: &[u8], at: usize, dialect: Dialect, width: usize, rows_max: usize) -> usize {
        let text = &text[at..text.len().min(at + PAGE_BYTES)];
        // As many as there are bytes, at most, and those that are filled up.
        self.marks.resize(PAGE_BYTES + 2 * STEP + 1, 0);
        let mut cut = Cut { marks: &mut self.marks, fields: 0, rows: 0, rows_max, width, dialect };
        let (steps, rest) = text.as_chunks::<STEP>();
        let is_plain = steps.iter().enumerate().all(|(step, bytes)| cut.step(bytes, step * STEP));
        if is_plain && !rest.is_empty() {
            let mut last = [b'\n'; STEP];
            last[..rest.len()].copy_from_slice(rest);
            cut.step(&last, steps.len() * STEP);
            // What was filled up is no part of a record, and may have ended one too much.
            while cut.rows > 0 && cut.marks[cut.rows * width] as usize > text.len() {
                cut.rows -= 1;
            }
        }
        (self.rows, self.width) = (cut.rows, width);
        at + self.marks[self.rows * width] as usize
    }

    /// How many records were cut.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The fields of one column, of the first `rows` records. `text` begins where the page does.
    pub fn cells<'p, 't>(&'p self, text: &'t [u8], place: usize, rows: usize) -> Cells<'p, 't> {
        Cells { page: self, text, place, rows }
    }
}

impl Cut<'_> {
    /// Notes the fields that end in some bytes; false where a record begins that is not plain, or there are enough.
    #[inline]
    fn step(&mut self, bytes: &[u8; STEP], offset: usize) -> bool {
        let Dialect { delimiter, quote } = self.dialect;
        let mut ends = places(bytes, |byte| (byte == b'\n') | (byte == quote));
        let marks = ends | places(bytes, |byte| byte == delimiter);
        let before = self.fields;
        self.note(marks, offset);
        while ends != 0 {
            let place = ends.trailing_zeros() as usize;
            self.fields = before + (marks & (u64::MAX >> (STEP - 1 - place))).count_ones() as usize;
            if !self.ends_record(bytes, place) {
                return false;
            }
            ends &= ends - 1;
        }
        self.fields = before + marks.count_ones() as usize;
        true
    }

    /// Notes where fields begin behind these places. Several at a time, whether or not there are so many: to ask that for each would
    /// take longer, as the answer cannot be foreseen.
    #[inline]
    fn note(&mut self, mut places: u64, offset: usize) {
        const AT_ONCE: usize = 8;
        let mut fields = self.fields;
        while places != 0 {
            let Some((marks, _)) = self.marks.get_mut(fields + 1..).and_then(<[u32]>::split_first_chunk_mut::<AT_ONCE>)
            else {
                return;
            };
            for mark in marks {
                // Where there are no more, this is what will be written over.
                *mark = (offset + 1) as u32 + places.trailing_zeros();
                places &= places.wrapping_sub(1);
            }
            fields += AT_ONCE;
        }
    }

    /// Whether what was noted last ends a plain record, and there may be another.
    #[inline]
    fn ends_record(&mut self, bytes: &[u8; STEP], place: usize) -> bool {
        // A quote; too few or too many fields; or an empty line, which is no record.
        if bytes[place] != b'\n'
            || self.fields != (self.rows + 1) * self.width
            || (self.width == 1 && self.is_empty_line(bytes, place))
        {
            return false;
        }
        self.rows += 1;
        self.rows < self.rows_max
    }

    /// Whether the line whose end was noted last has nothing in it.
    fn is_empty_line(&self, bytes: &[u8; STEP], place: usize) -> bool {
        match self.marks[self.fields] - self.marks[self.fields - 1] {
            1 => true,
            // Its other byte may lie in the bytes before: then it may as well be left to the cursor.
            2 => place == 0 || bytes[place - 1] == b'\r',
            _ => false,
        }
    }
}

/// Which of some bytes are meant, the first by the lowest bit.
#[inline]
fn places(bytes: &[u8; STEP], is_meant: impl Fn(u8) -> bool) -> u64 {
    /// Moves the lowest bits of eight bytes together, into the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    // Without a branch, so that it becomes vector instructions.
    let flags = bytes.map(|byte| u8::from(is_meant(byte)));
    let (words, _) = flags.as_chunks::<8>();
    let bits = words.iter().map(|word| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56);
    bits.rev().fold(0, |all, bits| all << 8 | bits)
}

/// The fields of one column of a page.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'p, 't> {
    page: &'p Page,
    text: &'t [u8],
    place: usize,
    rows: usize,
}

impl<'p, 't> Cells<'p, 't> {
    /// How many they are.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Each of them, from the first record to the last.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Cell<'t>> + use<'p, 't> {
        let Cells { page, text, place, rows } = self;
        let ends_line = place + 1 == page.width;
        let columns = page.marks.get(place..).unwrap_or_default().windows(2).step_by(page.width);
        columns.take(rows).map(move |marks| {
            let (start, end) = (marks[0] as usize, marks[1] as usize - 1);
            let has_return = ends_line && end > start && text[end - 1] == b'\r';
            Cell::new(text, start, end - usize::from(has_return))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect { delimiter: b',', quote: b'"' };

    /// The records of a page as text, and what of the text is left.
    fn cut(text: &str, width: usize, rows_max: usize) -> (Vec<Vec<&str>>, &str) {
        let mut page = Page::default();
        // Something before it, as the page need not begin with its text.
        let behind = format!("before\n{text}");
        let end = page.cut(behind.as_bytes(), 7, DIALECT, width, rows_max) - 7;
        let mut rows = vec![Vec::new(); page.rows()];
        for place in 0..width {
            for (row, cell) in rows.iter_mut().zip(page.cells(text.as_bytes(), place, page.rows()).iter()) {
                row.push(std::str::from_utf8(cell.bytes()).expect("text"));
            }
        }
        (rows, &text[end..])
    }

    #[test]
    fn plain_records_are_cut_up_to_the_first_that_is_not() {
        let long = "x".repeat(100);
        for (text, width, expected, left) in [
            ("", 2, vec![], ""),
            ("a,b\n1,2\r\n,\n", 2, vec![vec!["a", "b"], vec!["1", "2"], vec!["", ""]], ""),
            ("a,b\n1,2", 2, vec![vec!["a", "b"]], "1,2"),
            ("a,b\n1", 2, vec![vec!["a", "b"]], "1"),
            ("a,b\n\"1\",2\n", 2, vec![vec!["a", "b"]], "\"1\",2\n"),
            ("a,b\n1,2\"\n", 2, vec![vec!["a", "b"]], "1,2\"\n"),
            ("a,b\n1\n", 2, vec![vec!["a", "b"]], "1\n"),
            ("a,b\n1,2,3\n", 2, vec![vec!["a", "b"]], "1,2,3\n"),
            ("a,b\n\n1,2\n", 2, vec![vec!["a", "b"]], "\n1,2\n"),
            ("a\r\n\r\nb\n", 1, vec![vec!["a"]], "\r\nb\n"),
            ("a\n\nb\n", 1, vec![vec!["a"]], "\nb\n"),
            (&format!("{long},{long}\n1,2\n"), 2, vec![vec![&long, &long], vec!["1", "2"]], ""),
        ] {
            assert_eq!(cut(text, width, usize::MAX), (expected, left), "{text:?}");
        }
        assert_eq!(cut("a\nb\nc\n", 1, 2), (vec![vec!["a"], vec!["b"]], "c\n"));
    }

    #[test]
    fn a_page_ends_with_a_whole_record_wherever_the_text_does() {
        let text: String = (0..100).map(|row| format!("{row},{},x\n", "y".repeat(row % 7))).collect();
        for length in 0..=text.len() {
            let (rows, left) = cut(&text[..length], 3, usize::MAX);
            assert_eq!(rows.len(), text[..length].matches('\n').count(), "{length}");
            assert!(!left.contains('\n'), "{length}");
        }
    }

    #[test]
    fn more_than_a_page_is_left() {
        let text = "0123456789,0\n".repeat(10_000);
        let (rows, left) = cut(&text, 2, usize::MAX);
        assert!((1_000..10_000).contains(&rows.len()), "{}", rows.len());
        assert_eq!(left.len(), text.len() - rows.len() * 13);
    }
}
