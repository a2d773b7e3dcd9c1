//! Names → ids, each name kept once.

use std::hash::{BuildHasher, Hasher};

use crate::id::{Id, Names};

/// Hashes without a random seed, so that planning is the same function every time.
pub(crate) type Fixed = foldhash::fast::FixedState;

/// Gives each distinct name an id, in the order they first come. Two allocations in all: 16 to 28 bytes a name beside its own.
///
/// The hash has no random seed; whoever writes a pipeline full of colliding
/// names slows down his own planning only.
#[derive(Clone, Debug)]
pub struct Interner<I> {
    names: Names<I>,
    /// Open addressing; always a power of two and at most two thirds full.
    slots: Vec<Slot>,
}

/// A name's place in the table. The hash beside the id spares most looks at other names, which are far away in memory.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The id plus one; 0 is free.
    id: u32,
    hash: u32,
}

impl<I: Id> Interner<I> {
    /// Starts without names.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Starts without names, with room for so many.
    pub fn with_capacity(names: usize) -> Self {
        let slots = (names + names / 2 + 2).next_power_of_two().max(64);
        Self { names: Names::with_capacity(names, 0), slots: vec![Slot::default(); slots] }
    }

    /// Gives the id of a name, and whether it is new.
    pub fn intern(&mut self, name: &str) -> (I, bool) {
        if (self.names.len() + 1) * 3 > self.slots.len() * 2 {
            self.grow();
        }
        let hash = hash(name);
        let slot = self.slot(name, hash);
        match self.slots[slot].id.checked_sub(1) {
            Some(index) => (I::from_index(index as usize), false),
            None => {
                let id = self.names.push(name);
                self.slots[slot] = Slot { id: id.index() as u32 + 1, hash };
                (id, true)
            }
        }
    }

    /// Gives the id of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<I> {
        let index = self.slots[self.slot(name, hash(name))].id.checked_sub(1)?;
        Some(I::from_index(index as usize))
    }

    /// Reads where these names belong, so that asking for them next finds their places near.
    ///
    /// A large table is far away, and each name waits for its own place; here nothing waits, so that many are on their way at
    /// once. Changes nothing that can be seen.
    pub fn fetch<'n>(&self, names: impl IntoIterator<Item = &'n str>) {
        let mask = self.slots.len() - 1;
        // Hashed before, as a loop that does nothing but read has the most reads under way.
        let hashes: Vec<u32> = names.into_iter().map(hash).collect();
        for hash in hashes {
            std::hint::black_box(self.slots[hash as usize & mask].id);
        }
    }

    /// Gives the name of an id.
    pub fn name(&self, id: I) -> &str {
        self.names.get(id)
    }

    /// Counts the bytes of all names.
    pub fn byte_count(&self) -> usize {
        self.names.byte_count()
    }

    /// Counts the names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Says whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Gives the names alone, by id.
    pub fn into_names(self) -> Names<I> {
        self.names
    }

    /// Finds the slot that holds the name, or the free one where it belongs. Ends, as some slot is always free.
    fn slot(&self, name: &str, hash: u32) -> usize {
        self.probe(hash, |index| self.names.get(I::from_index(index as usize)) == name)
    }

    /// Walks over the slots of a hash up to the one that is meant, or a free one.
    fn probe(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while let Slot { id: 1.., hash: other } = self.slots[slot] {
            if other == hash && is_it(self.slots[slot].id - 1) {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let doubled = vec![Slot::default(); self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, doubled) {
            if slot.id > 0 {
                let place = self.probe(slot.hash, |_| false);
                self.slots[place] = slot;
            }
        }
    }
}

impl<I: Id> Default for Interner<I> {
    fn default() -> Self {
        Self::new()
    }
}

fn hash(name: &str) -> u32 {
    let mut hasher = Fixed::default().build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DatasetId;

    #[test]
    fn a_name_keeps_its_id_however_many_come_after() {
        let mut interner: Interner<DatasetId> = Interner::new();
        for round in 0..2 {
            for number in 0..1_000 {
                assert_eq!(interner.intern(&format!("d{number}")), (DatasetId(number), round == 0));
            }
        }
        assert_eq!(interner.len(), 1_000);
        assert_eq!((interner.find("d999"), interner.find("d1000")), (Some(DatasetId(999)), None));
        assert_eq!(interner.name(DatasetId(17)), "d17");
    }
}
