//! Columns that line up.

use super::paint::{Paint, Tone, harmless};

/// A table: a heading and rows of as many cells.
#[derive(Debug, Default)]
pub struct Table {
    heading: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

/// One cell and its tone.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Makes a cell of a tone.
    pub fn new(tone: Tone, text: impl Into<String>) -> Cell {
        let text = harmless(&text.into()).replace(['\n', '\t'], " ");
        Cell { text, tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(Tone::Plain, text)
    }
}

impl Table {
    /// Makes an empty table; headings that start with `>` name columns whose cells end at the right, as numbers do.
    pub fn new(heading: &[&'static str]) -> Table {
        Table {
            heading: heading.iter().map(|name| name.trim_start_matches('>')).collect(),
            right: heading.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Says whether there is nothing but the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the table, each line indented by `indent` blanks. A column that is empty in every row is left out.
    pub fn text(&self, indent: usize, paint: Paint) -> String {
        let used: Vec<usize> = (0..self.heading.len())
            .filter(|&column| self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.text.is_empty())))
            .collect();
        let heading: Vec<Cell> = self.heading.iter().map(|name| Cell::new(Tone::Faint, *name)).collect();
        let lines: Vec<&Vec<Cell>> = std::iter::once(&heading).chain(&self.rows).collect();
        let width = |column: usize| {
            let widths = lines.iter().map(|line| line.get(column).map_or(0, |cell| cell.text.chars().count()));
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = used.iter().map(|&column| width(column)).collect();
        let mut text = String::new();
        for line in lines {
            let mut shown = " ".repeat(indent);
            let mut blanks = 0; // held back, so that no line ends in blanks
            for (&column, &width) in used.iter().zip(&widths) {
                let Some(cell) = line.get(column) else { continue };
                let padding = width - cell.text.chars().count();
                let (before, after) = if self.right[column] { (padding, 0) } else { (0, padding) };
                if !cell.text.is_empty() {
                    shown.push_str(&" ".repeat(blanks + before));
                    shown.push_str(&paint.tone(cell.tone, &cell.text));
                    blanks = 0;
                } else {
                    blanks += before;
                }
                blanks += after + 2;
            }
            text.push_str(shown.trim_end_matches(' '));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let mut table = Table::new(&["name", "never", ">time", "state"]);
        table.row(vec!["a".into(), "".into(), "5 ms".into(), Cell::new(Tone::Good, "ok")]);
        table.row(vec!["größer".into(), "".into(), "".into(), "failed".into()]);
        table.row(vec!["c".into(), "".into(), "123 ms".into(), "".into()]);
        // A line feed first: a backslash there would swallow the blanks too.
        let want = "
  name      time  state
  a         5 ms  ok
  größer          failed
  c       123 ms
";
        assert_eq!(format!("\n{}", table.text(2, Paint::new(false))), want);
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut table = Table::new(&["a", "b"]);
        table.row(vec![Cell::new(Tone::Good, "x"), "y".into()]);
        assert_eq!(table.text(0, Paint::new(true)), "\x1b[2ma\x1b[0m  \x1b[2mb\x1b[0m\n\x1b[32mx\x1b[0m  y\n");
    }
}
