//! The repository's files, and Rust text without its comments and literals.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// One text file of the repository.
pub struct Source {
    /// Path from the repository's root.
    pub path: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines of Rust with comments and literals blanked out, counted from 1.
    pub fn code_lines(&self) -> Vec<(usize, String)> {
        blank(&self.text).lines().enumerate().map(|(index, line)| (index + 1, line.to_owned())).collect()
    }
}

/// Every text file that is ours: not built, not hidden (but the CI's), not data.
pub fn all() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(|| {
        let root = tests::artifacts::repository();
        let mut found = Vec::new();
        collect(root, root, &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    })
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci";
        if hidden || matches!(name.as_str(), "target" | "data" | "Cargo.lock") {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push(Source { path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), text });
        }
    }
}

/// Replaces comments, strings and characters by spaces; line breaks stay.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts here ends; `at` itself when none does.
fn skip(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => skip_block_comment(chars, at),
        '"' => skip_string(chars, at),
        'r' if !after_word && matches!(next, Some('"' | '#')) => skip_raw_string(chars, at),
        '\'' if next == Some('\\') => find(chars, at + 3, |c| c == '\'') + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
    .min(chars.len())
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|index| wanted(chars[*index])).unwrap_or(chars.len())
}

fn skip_block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut index = at;
    while index + 1 < chars.len() {
        match (chars[index], chars[index + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

fn skip_string(chars: &[char], at: usize) -> usize {
    let mut index = at + 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

fn skip_raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at; // A raw identifier.
    }
    let ends = |index: usize| {
        chars[index] == '"' && chars[index + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (open + 1..chars.len()).find(|index| ends(*index)).map_or(chars.len(), |index| index + 1 + hashes)
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = "a // unsafe\n/* x /* y */ unsafe */ b(\"unsafe \\\" \", r#\"un\"safe\"#, '\"', '\\'', 'a) c<'a>";
    assert_eq!(blank(text).split_whitespace().collect::<Vec<_>>(), ["a", "b(", ",", ",", ",", ",", "'a)", "c<'a>"]);
}
