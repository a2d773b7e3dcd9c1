//! Problems and errors, with the line they are about.

use protocol::{Place, Problem, SourceText};

use super::paint::{Paint, harmless};
use super::units::count;
use crate::error::Complaint;

/// Writes an error and everything known about it.
pub fn complaint(complaint: &Complaint, paint: Paint) -> String {
    let detail = &complaint.detail;
    let mut text = String::new();
    for one in &detail.problems {
        text.push_str(&problem(one, &complaint.sources, paint));
        text.push('\n');
    }
    let message = match detail.problems.len() as u64 {
        number @ 1.. if detail.code == "problems" => format!("the pipeline has {}", count(number, "problem")),
        _ => harmless(&detail.message).into_owned(),
    };
    text.push_str(&format!("{}: {message}\n", paint.bad("error")));
    notes(&mut text, "  ", &detail.causes, &detail.hints, paint);
    text
}

/// Writes one problem the way rustc does: what is wrong, where, the line itself, and what to do.
pub fn problem(problem: &Problem, sources: &[SourceText], paint: Paint) -> String {
    let head = if problem.code.is_empty() { "error".to_owned() } else { format!("error[{}]", harmless(&problem.code)) };
    let mut text = format!("{}: {}\n", paint.bad(&head), paint.strong(&harmless(&problem.message)));
    let mut indent = " ".to_owned();
    if let Some(place) = &problem.place {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        text.push_str(&format!("{margin}{} {}\n", paint.margin("-->"), harmless(&place.to_string())));
        if let Some(quote) = quote(place, sources) {
            let bar = paint.margin("|");
            text.push_str(&format!("{margin} {bar}\n"));
            text.push_str(&format!("{} {bar} {}\n", paint.margin(&number), quote.line));
            let blanks = " ".repeat(quote.from);
            let carets = paint.bad(&"^".repeat(quote.length));
            text.push_str(&format!("{margin} {bar} {blanks}{carets}\n"));
        }
        indent = margin;
    }
    let lead = format!("{indent} {} ", paint.margin("="));
    notes(&mut text, &lead, &problem.causes, &problem.hints, paint);
    text
}

/// Writes causes and hints; further lines of one stand under its first.
pub fn notes(text: &mut String, lead: &str, causes: &[String], hints: &[String], paint: Paint) {
    let causes = causes.iter().map(|cause| ("cause", paint.strong("cause"), cause));
    let hints = hints.iter().map(|hint| ("help", paint.hint("help"), hint));
    for (word, shown, note) in causes.chain(hints) {
        let under = format!("\n{}", " ".repeat(visible_width(lead) + word.len() + 2));
        let note = harmless(note.trim_end()).replace('\n', &under);
        text.push_str(&format!("{lead}{shown}: {note}\n"));
    }
}

/// A line of a source, and what to underline in it.
struct Quote {
    line: String,
    from: usize,
    length: usize,
}

/// Longest piece of a line that is shown; JSON may be all on one.
const QUOTE_CHARS_MAX: usize = 120;

fn quote(place: &Place, sources: &[SourceText]) -> Option<Quote> {
    let source = sources.iter().find(|source| source.name == place.file)?;
    let line = source.text.lines().nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let line: Vec<char> = line.chars().collect();
    let column = usize::try_from(place.column).ok()?.saturating_sub(1).min(line.len());
    let length = token_length(&line[column..]);
    // Of a long line, the part around the column.
    let start = if line.len() <= QUOTE_CHARS_MAX { 0 } else { column.saturating_sub(QUOTE_CHARS_MAX / 2) };
    let end = line.len().min(start + QUOTE_CHARS_MAX);
    let mut shown = String::new();
    let mut from = 0;
    if start > 0 {
        shown.push('…');
    }
    for (index, &c) in line.iter().enumerate().take(end).skip(start) {
        if index == column {
            from = shown.chars().count();
        }
        match c {
            '\t' => shown.push_str("    "),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    if column >= end {
        from = shown.chars().count();
    }
    if end < line.len() {
        shown.push('…');
    }
    Some(Quote { line: shown, from, length: length.min(end.saturating_sub(column)).max(1) })
}

/// How many characters the token at the start of `rest` has: a quoted string, or up to the next blank or mark.
fn token_length(rest: &[char]) -> usize {
    let length = match rest.first() {
        Some(&quote @ ('"' | '\'')) => {
            let mut escaped = false;
            let end = rest.iter().skip(1).position(|&c| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped && quote == '"';
                ends
            });
            end.map_or(1, |end| end + 2)
        }
        Some(&c) if word(c) => rest.iter().take_while(|&&c| word(c)).count(),
        _ => 1,
    };
    length.max(1)
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/')
}

/// Width of `text` without its colours.
fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            _ if !in_code => width += 1,
            _ => {}
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    const PLAIN: fn() -> Paint = || Paint::new(false);

    fn at(line: u32, column: u32) -> Problem {
        Problem {
            code: "unknown-node".into(),
            message: "no plugin offers a node \"flights::trian\"".into(),
            place: Some(Place { file: "pipeline.toml".into(), line, column }),
            causes: vec![],
            hints: vec!["did you mean \"flights::train\"?\nctl nodes lists all".into()],
        }
    }

    fn source(text: &str) -> Vec<SourceText> {
        vec![SourceText::new("pipeline.toml", text)]
    }

    #[test]
    fn a_problem_shows_the_line_and_underlines_the_word() {
        let text = "name = \"x\"\n\n\n\n\n\n\n\n\n[[node]]\ncall = \"flights::trian\" # typo\n";
        let want = "\
error[unknown-node]: no plugin offers a node \"flights::trian\"
  --> pipeline.toml:11:8
   |
11 | call = \"flights::trian\" # typo
   |        ^^^^^^^^^^^^^^^^
   = help: did you mean \"flights::train\"?
           ctl nodes lists all
";
        assert_eq!(problem(&at(11, 8), &source(text), PLAIN()), want);
    }

    #[test]
    fn tabs_and_wide_letters_keep_the_caret_in_place() {
        let got = problem(&at(1, 6), &source("\tä = foo"), PLAIN());
        assert!(got.contains("1 |     ä = foo\n  |         ^^^\n"), "{got}");
    }

    #[test]
    fn places_outside_the_text_are_no_trouble() {
        for (line, column) in [(0, 0), (1, 0), (1, 99), (2, 1), (u32::MAX, u32::MAX)] {
            let got = problem(&at(line, column), &source("name"), PLAIN());
            assert!(got.contains(&format!("--> pipeline.toml:{line}:{column}\n")), "{got}");
        }
        assert!(problem(&at(1, 99), &source("name"), PLAIN()).contains("1 | name\n  |     ^\n"));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{}\"here\"{}", " ".repeat(500), "x".repeat(500));
        let got = problem(&at(1, 501), &source(&text), PLAIN());
        let line = got.lines().nth(3).unwrap_or_default();
        assert!(line.chars().count() < 130, "{line}");
        assert!(line.starts_with("1 | …") && line.ends_with('…') && line.contains("\"here\""), "{line}");
        let caret = got.lines().nth(4).unwrap_or_default();
        let column = |line: &str, mark: &str| line.find(mark).map(|at| line[..at].chars().count());
        assert_eq!(column(caret, "^^^^^^"), column(line, "\"here\""));
    }

    #[test]
    fn a_source_that_is_not_at_hand_leaves_the_place() {
        let want = "\
error[unknown-node]: no plugin offers a node \"flights::trian\"
 --> pipeline.toml:3:8
  = help: did you mean \"flights::train\"?
          ctl nodes lists all
";
        assert_eq!(problem(&at(3, 8), &[], PLAIN()), want);
    }

    #[test]
    fn a_complaint_ends_in_the_sentence_that_sums_it_up() {
        let error =
            Error::new(4, "no-daemon", "no daemon answers at /run/x.sock").cause("no such file").hint("start one");
        let Error::Failed(failed) = error else { panic!("not closed") };
        let want = "\
error: no daemon answers at /run/x.sock
  cause: no such file
  help: start one
";
        assert_eq!(complaint(&failed, PLAIN()), want);
        let mut failed = *failed;
        failed.detail.code = "problems".into();
        failed.detail.problems = vec![at(1, 1)];
        failed.detail.causes.clear();
        failed.detail.hints.clear();
        assert!(complaint(&failed, PLAIN()).ends_with("\n\nerror: the pipeline has 1 problem\n"));
    }
}
