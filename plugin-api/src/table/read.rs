//! From a block to a table, without a copy.

use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;

use super::Table;
use crate::{
    Error, Result,
    abi::{InputBlock, format},
    node::Input,
    value::expect_format,
};

impl Input for Table {
    const KIND: &'static str = "table";

    fn from_block(block: InputBlock) -> Result<Self> {
        expect_format(&block, &[format::ARROW])?;
        let broken = |error| Error::input("the block is no well-formed Arrow stream").because(error);
        // The buffer owns the shared bytes; the decoder cuts columns from it. Only what is not aligned is copied, which
        // happens to small blocks that came inside a message.
        let mut buffer = Buffer::from(bytes::Bytes::from_owner(block.bytes));
        let mut decoder = StreamDecoder::new();
        let mut batches = Vec::new();
        while let Some(batch) = decoder.decode(&mut buffer).map_err(broken)? {
            batches.push(batch);
        }
        decoder.finish().map_err(broken)?;
        let schema = decoder.schema().ok_or_else(|| Error::input("the block holds no Arrow schema"))?;
        Ok(Table { schema, batches })
    }
}
