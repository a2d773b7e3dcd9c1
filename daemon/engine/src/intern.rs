//! Names → ids, each name kept once.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::id::{Id, Names};

/// Gives each distinct name an id, in the order they first come. Two allocations in all: 10 to 20 bytes a name beside its own.
///
/// The hash has no random seed, so that planning is the same function every time; whoever writes a pipeline full of colliding
/// names slows down his own planning only.
#[derive(Clone, Debug)]
pub struct Interner<I> {
    names: Names<I>,
    /// Open addressing: ids plus one, 0 is free; always a power of two and at most two thirds full.
    slots: Vec<u32>,
}

impl<I: Id> Interner<I> {
    /// Starts without names.
    pub fn new() -> Self {
        Self { names: Names::new(), slots: vec![0; 64] }
    }

    /// Gives the id of a name, and whether it is new.
    pub fn intern(&mut self, name: &str) -> (I, bool) {
        if (self.names.len() + 1) * 3 > self.slots.len() * 2 {
            self.grow();
        }
        let slot = self.slot(name);
        match self.slots[slot].checked_sub(1) {
            Some(index) => (I::from_index(index as usize), false),
            None => {
                let id = self.names.push(name);
                self.slots[slot] = id.index() as u32 + 1;
                (id, true)
            }
        }
    }

    /// Gives the id of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<I> {
        let index = self.slots[self.slot(name)].checked_sub(1)?;
        Some(I::from_index(index as usize))
    }

    /// Gives the name of an id.
    pub fn name(&self, id: I) -> &str {
        self.names.get(id)
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
    fn slot(&self, name: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash(name) & mask;
        while let Some(index) = self.slots[slot].checked_sub(1) {
            if self.names.get(I::from_index(index as usize)) == name {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let doubled = self.slots.len() * 2;
        self.slots = vec![0; doubled];
        for index in 0..self.names.len() {
            let slot = self.slot(self.names.get(I::from_index(index)));
            self.slots[slot] = index as u32 + 1;
        }
    }
}

impl<I: Id> Default for Interner<I> {
    fn default() -> Self {
        Self::new()
    }
}

fn hash(name: &str) -> usize {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(name) as usize
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
