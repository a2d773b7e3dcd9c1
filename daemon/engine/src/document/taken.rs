//! For tests of readers: takes the items of a list `node`, and puts them back, so that what a reader gave piece by piece can be held
//! against what one gives that reads the whole text.

use super::{Data, Entry, Items, Value};

/// All items of a list `node`.
#[derive(Default)]
pub(super) struct Taken<'a>(Vec<Value<'a>>);

impl<'a> Items<'a> for Taken<'a> {
    const LIST: Option<&'static str> = Some("node");
    fn take(&mut self, item: Value<'a>) {
        self.0.push(item);
    }
}

impl<'a> Taken<'a> {
    /// Puts them where they were taken from; panics where that is not an empty list.
    pub(super) fn put_back(self, entries: &mut [Entry<'a>]) {
        if self.0.is_empty() {
            return;
        }
        let list = entries.iter_mut().find(|entry| entry.key.text == "node");
        match list.map(|list| &mut list.value.data) {
            Some(Data::List(items)) if items.is_empty() => *items = self.0,
            other => panic!("items of no list, or twice: {other:?}"),
        }
    }
}
