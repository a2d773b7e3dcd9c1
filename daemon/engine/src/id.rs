//! Small numbers that name things, and vectors that accept only their own kind of number.
//!
//! Ids are `u32`: a plan of a million nodes stays small, and an id is copied, never borrowed.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A newtype over `u32` that indexes an [`IdVec`] or [`Lists`].
pub trait Id: Copy + Ord + fmt::Debug {
    /// Makes the id of position `index`.
    fn from_index(index: usize) -> Self;
    /// Gives the position that this id names.
    fn index(self) -> usize;
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub u32);

        impl Id for $name {
            fn from_index(index: usize) -> Self {
                // Plans are bounded far below 2^32 (`matrix::NODES_MAX`), so this never saturates.
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(/// A node of a plan. Ids follow the topological order: layer by layer, by name within a layer.
    NodeId);
id!(/// A dataset of a plan.
    DatasetId);
id!(/// A task of a plan: a load, a node call or a save. The call of node `n` is task `n`.
    TaskId);
id!(/// A distinct plugin node that a plan calls.
    CallId);
id!(/// A distinct parameter value that a plan binds.
    ParameterId);

/// The number of a try at a task, counted from 1; results of an older attempt are ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Attempt(pub u32);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A moment in microseconds since some fixed start; the caller's clock, which never runs backwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// Gives the moment `microseconds` later.
    pub fn after(self, microseconds: u64) -> Self {
        Self(self.0.saturating_add(microseconds))
    }

    /// Gives the microseconds from `earlier` to here; 0 when it is not earlier.
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A vector indexed by one kind of id.
#[derive(Clone, Debug)]
pub struct IdVec<I, T> {
    items: Vec<T>,
    of: PhantomData<fn(I)>,
}

impl<I: Id, T> IdVec<I, T> {
    /// Takes a vector whose positions are the ids.
    pub fn new(items: Vec<T>) -> Self {
        Self { items, of: PhantomData }
    }

    /// Starts with no items and room for so many.
    pub fn with_capacity(items: usize) -> Self {
        Self::new(Vec::with_capacity(items))
    }

    /// Appends an item and gives its id.
    pub fn push(&mut self, item: T) -> I {
        self.items.push(item);
        I::from_index(self.items.len() - 1)
    }

    /// Gives the item, or nothing when the id is not one of ours.
    pub fn get(&self, id: I) -> Option<&T> {
        self.items.get(id.index())
    }

    /// Gives the item, or nothing when the id is not one of ours.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.items.get_mut(id.index())
    }

    /// Counts the items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Says whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Walks over all ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + Clone + use<I, T> {
        (0..self.items.len()).map(I::from_index)
    }

    /// Walks over ids and items in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.items.iter().enumerate().map(|(index, item)| (I::from_index(index), item))
    }
}

impl<I: Id, T> Default for IdVec<I, T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<I: Id, T> Index<I> for IdVec<I, T> {
    type Output = T;
    fn index(&self, id: I) -> &T {
        &self.items[id.index()]
    }
}

impl<I: Id, T> IndexMut<I> for IdVec<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.items[id.index()]
    }
}

/// A list for each id, all in one allocation: 4 bytes an id beside the items themselves.
#[derive(Clone, Debug)]
pub struct Lists<I, T> {
    ends: Vec<u32>,
    items: Vec<T>,
    of: PhantomData<fn(I)>,
}

impl<I: Id, T> Lists<I, T> {
    /// Starts with no lists.
    pub fn new() -> Self {
        Self { ends: Vec::new(), items: Vec::new(), of: PhantomData }
    }

    /// Starts with no lists and room for `lists` of them.
    pub fn with_capacity(lists: usize, items: usize) -> Self {
        Self { ends: Vec::with_capacity(lists), items: Vec::with_capacity(items), of: PhantomData }
    }

    /// Appends the list of the next id.
    pub fn push(&mut self, list: impl IntoIterator<Item = T>) -> I {
        self.items.extend(list);
        self.ends.push(u32::try_from(self.items.len()).unwrap_or(u32::MAX));
        I::from_index(self.ends.len() - 1)
    }

    /// Gives the list of an id; empty when the id is not one of ours.
    pub fn get(&self, id: I) -> &[T] {
        let index = id.index();
        let Some(&end) = self.ends.get(index) else {
            return &[];
        };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.items.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Counts the lists.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Says whether there are no lists.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Counts the items of all lists.
    pub fn item_count(&self) -> usize {
        self.items.len()
    }
}

impl<I: Id, T: Copy> Lists<I, T> {
    /// Builds the lists from (id, item) pairs in any order; items of one id keep their order. Linear.
    pub fn from_pairs(lists: usize, pairs: impl Iterator<Item = (I, T)> + Clone) -> Self {
        let Some((_, any)) = pairs.clone().next() else {
            return Self { ends: vec![0; lists], items: Vec::new(), of: PhantomData };
        };
        let mut ends = vec![0u32; lists];
        for (id, _) in pairs.clone() {
            ends[id.index()] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            let count = *end;
            *end = total;
            total += count;
        }
        // `ends[i]` is now the start of list i and becomes its end as the list fills.
        let mut items = vec![any; total as usize];
        for (id, item) in pairs {
            let end = &mut ends[id.index()];
            items[*end as usize] = item;
            *end += 1;
        }
        Self { ends, items, of: PhantomData }
    }
}

impl<I: Id, T> Default for Lists<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Many names in one string: 4 bytes a name beside its own bytes.
#[derive(Clone, Debug)]
pub struct Names<I> {
    text: String,
    ends: Vec<u32>,
    of: PhantomData<fn(I)>,
}

impl<I: Id> Names<I> {
    /// Starts with no names.
    pub fn new() -> Self {
        Self::with_capacity(0, 0)
    }

    /// Starts with no names and room for `names` of them, of `bytes` in all.
    pub fn with_capacity(names: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(names), of: PhantomData }
    }

    /// Appends the name of the next id. Plans are bounded far below the 4 GiB that fit; beyond them a name is lost, not torn.
    pub fn push(&mut self, name: &str) -> I {
        if self.text.len() + name.len() <= u32::MAX as usize {
            self.text.push_str(name);
        }
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        I::from_index(self.ends.len() - 1)
    }

    /// Gives the name of an id; empty when the id is not one of ours.
    pub fn get(&self, id: I) -> &str {
        let index = id.index();
        let Some(&end) = self.ends.get(index) else {
            return "";
        };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Counts the names.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Counts the bytes of all names.
    pub fn byte_count(&self) -> usize {
        self.text.len()
    }

    /// Says whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl<I: Id> Default for Names<I> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_from_pairs_keep_the_order_within_a_list() {
        let pairs = [(2, 'a'), (0, 'b'), (2, 'c'), (3, 'd'), (2, 'e')];
        let lists: Lists<NodeId, char> = Lists::from_pairs(5, pairs.iter().map(|&(id, item)| (NodeId(id), item)));
        let each: Vec<String> = (0..7).map(|id| lists.get(NodeId(id)).iter().collect()).collect();
        assert_eq!(each, ["b", "", "ace", "d", "", "", ""]);
        assert_eq!((lists.len(), lists.item_count()), (5, 5));
    }

    #[test]
    fn ids_that_are_not_ours_find_nothing() {
        let mut names: Names<NodeId> = Names::new();
        names.push("one");
        names.push("");
        names.push("three");
        let each: Vec<&str> = [0, 1, 2, 3, u32::MAX].map(|id| names.get(NodeId(id))).to_vec();
        assert_eq!(each, ["one", "", "three", "", ""]);
        let items: IdVec<TaskId, u8> = IdVec::new(vec![7]);
        assert_eq!((items.get(TaskId(0)), items.get(TaskId(1)), items.get(TaskId(u32::MAX))), (Some(&7), None, None));
    }

    #[test]
    fn torn_names_and_lists_are_empty() {
        // The second ends within a letter, the third before it starts, the rest beyond the text.
        let names: Names<NodeId> =
            Names { text: "aéb".to_owned(), ends: vec![1, 2, 1, u32::MAX, u32::MAX, 4], of: PhantomData };
        let each: Vec<&str> = (0..7).map(|id| names.get(NodeId(id))).collect();
        assert_eq!(each, ["a", "", "", "", "", "", ""]);
        let lists: Lists<NodeId, u8> =
            Lists { ends: vec![1, 0, u32::MAX, u32::MAX, 2], items: vec![7, 8], of: PhantomData };
        let each: Vec<&[u8]> = (0..6).map(|id| lists.get(NodeId(id))).collect();
        assert_eq!(each, [&[7][..], &[], &[], &[], &[], &[]]);
    }

    #[test]
    fn time_never_wraps() {
        assert_eq!(Time(u64::MAX).after(5), Time(u64::MAX));
        assert_eq!(Time(3).since(Time(5)), 0);
    }
}
