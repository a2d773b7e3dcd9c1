//! The page about the configuration: its default file, which has a comment for every key.

use std::fmt::Write as _;

use crate::roff::{escape, section, title};

/// Makes the page of the commented file.
pub fn page(defaults: &str) -> String {
    let mut page = title("dagd.toml", 5);
    page.push_str(&section("NAME"));
    page.push_str("dagd.toml \\- configuration of dagd, the daemon for DAGs\n");
    page.push_str(&section("DESCRIPTION"));
    let mut comment: Vec<&str> = Vec::new();
    for line in defaults.lines() {
        match line.strip_prefix('#') {
            Some(text) => comment.push(text.strip_prefix(' ').unwrap_or(text)),
            None if line.trim().is_empty() => {
                // A comment that stands alone: about the file, or an example of a table.
                page.push_str(&paragraphs(&comment));
                comment.clear();
            }
            None if line.starts_with('[') => {
                page.push_str(&paragraphs(&std::mem::take(&mut comment)));
                page.push_str(&section(line));
            }
            None => {
                let _ = write!(page, ".TP\n.B {}", escape(line));
                page.push_str(&paragraphs(&std::mem::take(&mut comment)).replacen(".PP\n", "", 1));
            }
        }
    }
    page.push_str(&paragraphs(&comment));
    page.push_str(&section("FILES"));
    page.push_str(include_str!("configuration_files.roff"));
    page.push_str(&section("SEE ALSO"));
    page.push_str("dagd(8), ctl(1)\n");
    page
}

/// A comment as paragraphs; what looks like TOML or is indented is shown as it is.
fn paragraphs(lines: &[&str]) -> String {
    if lines.iter().all(|line| line.trim().is_empty()) {
        return String::new();
    }
    let mut text = String::from(".PP\n");
    let mut in_example = false;
    for line in lines {
        let is_example = line.starts_with(['[', ' ']) || in_example && !line.is_empty();
        if is_example != in_example {
            text.push_str(if is_example { ".nf\n" } else { ".fi\n" });
            in_example = is_example;
        }
        text.push_str(&if line.is_empty() { ".PP\n".to_owned() } else { escape(line) });
    }
    if in_example {
        text.push_str(".fi\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_with_its_comment_and_default() {
        let page = page("# All of it.\n\n[server]\n# The socket.\n# Empty: usual.\nsocket = \"\"\n");
        assert!(page.contains("All of it."), "{page}");
        assert!(page.contains(".SH \"[server]\"\n.TP\n.B socket = \"\"\nThe socket.\nEmpty: usual.\n"), "{page}");
    }
}
