//! From a block to a table, without a copy.

use super::{LazyTable, Table};
use crate::{Result, abi::InputBlock, node::Input};

impl Input for Table {
    const KIND: &'static str = "table";

    fn from_block(block: InputBlock) -> Result<Self> {
        LazyTable::from_block(block)?.read()
    }
}
