//! TOML → tree from the events of `toml_parser`, a piece of the text at a time, so that a file of a million nodes never is
//! a million tokens or tables at once.
//!
//! Reads only what is right, and of that only what people write in large files. Whatever is wrong, or rare (dotted keys,
//! dates, tables that are gone back to), it leaves to the reader of whole texts, which reads everything and tells every
//! mistake. So nothing here words a problem, and where this gives a tree, the other gives the same (see the tests).

use std::borrow::Cow;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::TokenKind;
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Span};

use crate::document::{Data, Entry, Items, Value, Word, is_unique};
use crate::source::Site;

/// As many tokens are parsed at once: some tens of kilobytes of text, so that they stay in the cache.
const TOKENS: usize = 2_048;
/// Lists, tables and the headers of tables nest at most so deep here; the `toml` crate's own bound is the same.
const DEPTH_MAX: u32 = 80;

/// Reads a text; nothing where it is left to the other reader.
pub(super) fn read<'a, I: Items<'a>>(text: &'a str, number: u32) -> Option<(Vec<Entry<'a>>, I)> {
    let source = toml_parser::Source::new(text);
    let mut reader = Reader::<I>::new(text, number);
    let mut tokens = Vec::with_capacity(2 * TOKENS);
    let mut depth = 0u32;
    let mut lexer = source.lex();
    loop {
        let token = lexer.next();
        let kind = token.map_or(TokenKind::Eof, |token| token.kind());
        tokens.extend(token);
        match kind {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.checked_sub(1)?,
            _ => {}
        }
        let is_last = kind == TokenKind::Eof;
        // A line that ends outside of all brackets ends what stands in it.
        if is_last || (kind == TokenKind::Newline && depth == 0 && tokens.len() >= TOKENS) {
            let mut is_odd = false;
            let mut checked = ValidateWhitespace::new(&mut reader, source);
            let mut bounded = RecursionGuard::new(&mut checked, DEPTH_MAX);
            parse_document(&tokens, &mut bounded, &mut |_: ParseError| is_odd = true);
            if is_odd || reader.is_odd {
                return None;
            }
            reader.items.progress(tokens.last().map_or(0, |token| token.span().end()), text.len());
            tokens.clear();
        }
        if is_last {
            return reader.finish();
        }
    }
}

struct Reader<'a, I> {
    text: &'a str,
    number: u32,
    /// The tables of the header that was read last, the whole file first, each within the one before.
    open: Vec<Open<'a>>,
    /// The header that is being read: where it starts, and whether it is of a list's item.
    header: Option<(Site, bool)>,
    path: Vec<Word<'a>>,
    /// Lists and inline tables that are being read, each within the one before.
    inner: Vec<Inner<'a>>,
    /// The key whose value comes next.
    key: Option<Word<'a>>,
    items: I,
    /// Something came that is left to the other reader.
    is_odd: bool,
}

/// A table that headers lead to.
struct Open<'a> {
    key: Word<'a>,
    /// Where its own header stands, or its key in the header of a table within.
    site: Site,
    entries: Vec<Entry<'a>>,
    /// The items before this one, where it is a list's item, and where the list starts.
    list: Option<(Vec<Value<'a>>, Site)>,
}

/// A list or an inline table.
struct Inner<'a> {
    key: Option<Word<'a>>,
    site: Site,
    data: Data<'a>,
}

impl<'a, I: Items<'a>> Reader<'a, I> {
    fn new(text: &'a str, number: u32) -> Self {
        let site = Site { text: number, offset: 0 };
        let root = Open { key: Word { text: "".into(), site }, site, entries: Vec::new(), list: None };
        Self {
            text,
            number,
            open: vec![root],
            header: None,
            path: Vec::new(),
            inner: Vec::new(),
            key: None,
            items: I::default(),
            is_odd: false,
        }
    }

    fn finish(mut self) -> Option<(Vec<Entry<'a>>, I)> {
        self.close_to(1);
        let root = self.open.pop()?;
        self.check_unique(&root.entries);
        let is_whole = self.inner.is_empty() && self.key.is_none() && self.header.is_none();
        (!self.is_odd && is_whole).then_some((root.entries, self.items))
    }

    fn site(&self, span: Span) -> Site {
        Site { text: self.number, offset: u32::try_from(span.start()).unwrap_or(u32::MAX) }
    }

    fn raw(&mut self, span: Span, encoding: Option<Encoding>) -> Option<Raw<'a>> {
        let raw = self.text.get(span.start()..span.end());
        self.is_odd |= raw.is_none();
        raw.map(|raw| Raw::new_unchecked(raw, encoding, span))
    }

    /// Goes to the table that a header names. Of the path before, whatever begins it alike stays open.
    fn go_to(&mut self, site: Site, is_item: bool) {
        let mut path = std::mem::take(&mut self.path);
        let alike = self.open[1..].iter().zip(&path).take_while(|(open, key)| open.key.text == key.text).count();
        self.is_odd |= path.is_empty() || path.len() >= DEPTH_MAX as usize;
        self.close_to(alike + 1);
        if alike == path.len() {
            // Another item of the list that is open; a table has one header only.
            match self.open.pop() {
                Some(Open { key, site: before, entries, list: Some((items, list)), .. }) if is_item => {
                    let items = self.close_item(&key, items, Value { data: Data::Table(entries), site: before });
                    let list = Some((items, list));
                    self.open.push(Open { key, site, entries: Vec::new(), list });
                }
                _ => self.is_odd = true,
            }
            path.clear();
        }
        let count = path.len();
        for (position, key) in path.drain(..).enumerate().skip(alike) {
            let is_named = position + 1 == count;
            let site = if is_named { site } else { key.site };
            let list = (is_named && is_item).then(|| (Vec::new(), site));
            self.open.push(Open { key, site, entries: Vec::new(), list });
        }
        self.path = path;
    }

    /// Closes tables until so many are open.
    fn close_to(&mut self, count: usize) {
        while self.open.len() > count.max(1) {
            let Some(Open { key, site, entries, list, .. }) = self.open.pop() else { return };
            let table = Value { data: Data::Table(entries), site };
            let value = match list {
                None => {
                    self.check_table(&table);
                    table
                }
                Some((items, site)) => Value { data: Data::List(self.close_item(&key, items, table)), site },
            };
            if let Some(outer) = self.open.last_mut() {
                outer.entries.push(Entry { key, value });
            }
        }
    }

    /// Adds an item to its list, or hands it over where it is asked for.
    fn close_item(&mut self, key: &Word<'a>, mut items: Vec<Value<'a>>, item: Value<'a>) -> Vec<Value<'a>> {
        self.check_table(&item);
        // What is open then is the file itself: the item's own place was just given up.
        if self.open.len() == 1 && I::LIST == Some(&*key.text) {
            self.items.take(item);
        } else {
            items.push(item);
        }
        items
    }

    fn check_table(&mut self, table: &Value<'a>) {
        if let Data::Table(entries) = &table.data {
            self.check_unique(entries);
        }
    }

    /// Leaves tables with equal keys to the other reader: some may be merged, the rest is told there.
    fn check_unique(&mut self, entries: &[Entry<'a>]) {
        self.is_odd |= !is_unique(entries);
    }

    /// Puts a value where it belongs: into the list or table that is being read.
    fn put(&mut self, value: Value<'a>) {
        let entries = match self.inner.last_mut() {
            Some(Inner { data: Data::List(items), .. }) => return items.push(value),
            Some(Inner { data: Data::Table(entries), .. }) => Some(entries),
            Some(_) => None,
            None => self.open.last_mut().map(|open| &mut open.entries),
        };
        match (entries, self.key.take()) {
            (Some(entries), Some(key)) => entries.push(Entry { key, value }),
            _ => self.is_odd = true,
        }
    }

    fn start(&mut self, span: Span, data: Data<'a>) -> bool {
        let (key, site) = (self.key.take(), self.site(span));
        self.inner.push(Inner { key, site, data });
        true
    }

    fn end(&mut self) {
        let Some(Inner { key, site, data }) = self.inner.pop() else {
            self.is_odd = true;
            return;
        };
        self.is_odd |= self.key.is_some();
        self.key = key;
        if let Data::Table(entries) = &data {
            self.check_unique(entries);
        }
        self.put(Value { data, site });
    }

    fn end_header(&mut self) {
        match self.header.take() {
            Some((site, is_item)) => self.go_to(site, is_item),
            None => self.is_odd = true,
        }
    }
}

impl<'a, I: Items<'a>> EventReceiver for Reader<'a, I> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.header = Some((self.site(span), false));
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end_header();
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.header = Some((self.site(span), true));
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end_header();
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.start(span, Data::Table(Vec::new()))
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end();
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.start(span, Data::List(Vec::new()))
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.end();
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let Some(raw) = self.raw(span, encoding) else { return };
        let mut text = Cow::Borrowed("");
        raw.decode_key(&mut text, errors);
        let word = Word { text, site: self.site(span) };
        if self.header.is_some() {
            self.path.push(word);
        } else {
            self.is_odd |= self.key.replace(word).is_some();
        }
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_odd |= self.header.is_none();
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let Some(raw) = self.raw(span, encoding) else { return };
        let mut text = Cow::Borrowed("");
        let data = match raw.decode_scalar(&mut text, errors) {
            ScalarKind::String => Some(Data::Text(text)),
            ScalarKind::Boolean(value) => Some(Data::Boolean(value)),
            ScalarKind::Integer(radix) => i64::from_str_radix(&text, radix.value()).ok().map(Data::Integer),
            ScalarKind::Float => text.parse().ok().map(Data::Number),
            ScalarKind::DateTime => None,
        };
        match data {
            Some(data) => self.put(Value { data, site: self.site(span) }),
            None => self.is_odd = true,
        }
    }

    fn error(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_odd = true;
    }
}
