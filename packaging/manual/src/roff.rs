//! The little of roff that the pages need beside what clap_mangen writes.

/// Writes text so that roff takes no part of it for a request.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with(['.', '\'']) {
            escaped.push_str("\\&");
        }
        escaped.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
        escaped.push('\n');
    }
    escaped
}

/// The first line of a page.
pub fn title(name: &str, section: u8) -> String {
    format!(".TH \"{name}\" {section} \"\" \"dagd {}\" \"dagd\"\n", env!("CARGO_PKG_VERSION"))
}

/// A section's heading.
pub fn section(name: &str) -> String {
    format!(".SH \"{}\"\n", escape(name).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escape(".SH x"), "\\&.SH x\n");
        assert_eq!(escape("a\\b --json"), "a\\eb \\-\\-json\n");
    }
}
