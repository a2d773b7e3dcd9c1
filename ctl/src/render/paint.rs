//! Colours, or none.

/// Colours text if the place it goes to shows colours.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

/// What a piece of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading or a name to find.
    Strong,
    /// Of less interest.
    Faint,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It deserves a look.
    Notable,
}

impl Paint {
    /// Makes a painter that colours, or not.
    pub fn new(on: bool) -> Paint {
        Paint { on }
    }

    /// Colours `text` as `tone`.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Notable => "33",
        };
        self.wrap(code, text)
    }

    /// A heading or a name to find.
    pub fn strong(self, text: &str) -> String {
        self.tone(Tone::Strong, text)
    }

    /// Of less interest.
    pub fn faint(self, text: &str) -> String {
        self.tone(Tone::Faint, text)
    }

    /// It went wrong.
    pub fn bad(self, text: &str) -> String {
        self.tone(Tone::Bad, text)
    }

    /// A warning's first word.
    pub fn warning(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    /// A hint's first word.
    pub fn hint(self, text: &str) -> String {
        self.wrap("1;36", text)
    }

    /// Line numbers and arrows around a quoted line.
    pub fn margin(self, text: &str) -> String {
        self.wrap("1;34", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Makes foreign text safe to show: control characters, which could move the cursor or change colours, are written out.
/// Line feeds and tabs stay.
pub fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(odd) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if odd(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_show() {
        assert_eq!(Paint::new(false).bad("x"), "x");
        assert_eq!(Paint::new(true).bad("x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint::new(true).bad(""), "");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\n\tc"), "a\\u{1b}[2Jb\\r\n\tc");
        assert_eq!(harmless("völlig normal"), "völlig normal");
    }
}
