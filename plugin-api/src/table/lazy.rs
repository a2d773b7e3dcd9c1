//! A table of which only those columns are read that a node asks for.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::{
    MessageHeader,
    convert::{MessageBuffer, try_fb_to_schema},
    reader::{RecordBatchDecoder, read_dictionary},
};
use arrow_schema::{ArrowError, SchemaRef};

use super::{Table, column};
use crate::{
    Error, Result,
    abi::{InputBlock, format},
    node::Input,
    value::expect_format,
};

/// A table as an input of a node that does not need all of its columns. What is in a block is a claim until it is checked, the keys of
/// each dictionary and every byte of text, and that takes time: a [`Table`] is checked as a whole, this one column by column, when
/// it is asked for. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use plugin_api::arrow::array::{ArrayRef, Float64Array, StringArray};
/// use plugin_api::prelude::*;
///
/// /// The sum of one column of many.
/// #[node(outputs = ["total"])]
/// fn total(flights: LazyTable) -> Result<f64> {
///     let flights = flights.select(["miles"])?;
///     Ok(flights.numbers("miles")?.iter().sum())
/// }
/// # let flights = Table::from_columns([
/// #     ("origin", Arc::new(StringArray::from(vec!["EWR", "JFK"])) as ArrayRef),
/// #     ("miles", Arc::new(Float64Array::from(vec![700.0, 300.0])) as ArrayRef),
/// # ]).unwrap();
/// # let outputs = plugin_api::testing::node::<total>().input("flights", flights).run().unwrap();
/// # assert_eq!(outputs.get::<f64>("total").unwrap(), 1000.0);
/// ```
#[derive(Clone, Debug)]
pub struct LazyTable {
    schema: SchemaRef,
    /// Those that follow the schema, each with its body: dictionaries and batches.
    messages: Arc<[(MessageBuffer, Buffer)]>,
}

impl LazyTable {
    /// The columns' names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A table of these columns, in this order.
    #[track_caller]
    pub fn select<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<Table> {
        let mut columns = Vec::new();
        // No closure: the error says where this was called.
        for name in names {
            columns.push(column::index_of(&self.schema, name.as_ref())?);
        }
        let schema = Arc::new(self.schema.project(&columns)?);
        Ok(Table { schema, batches: self.batches(Some(&columns)).map_err(broken)? })
    }

    /// The table with all columns.
    pub fn read(&self) -> Result<Table> {
        Ok(Table { schema: Arc::clone(&self.schema), batches: self.batches(None).map_err(broken)? })
    }

    fn batches(&self, columns: Option<&[usize]>) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut batches = Vec::new();
        // A later one of the same number may replace or continue one, so they are taken in their order.
        let mut dictionaries: HashMap<i64, ArrayRef> = HashMap::new();
        for (message, body) in self.messages.iter() {
            let message = message.as_ref();
            let version = message.version();
            if let Some(dictionary) = message.header_as_dictionary_batch() {
                read_dictionary(body, dictionary, &self.schema, &mut dictionaries, &version)?;
            } else if let Some(batch) = message.header_as_record_batch() {
                let schema = Arc::clone(&self.schema);
                let decoder = RecordBatchDecoder::try_new(body, batch, schema, &dictionaries, &version)?;
                batches.push(decoder.with_projection(columns).read_record_batch()?);
            }
        }
        Ok(batches)
    }
}

impl Input for LazyTable {
    const KIND: &'static str = Table::KIND;

    fn from_block(block: InputBlock) -> Result<Self> {
        expect_format(&block, &[format::ARROW])?;
        // The buffer owns the shared bytes; what is read is cut from it. Only what is not aligned is copied, which happens to small blocks
        // that came inside a message.
        let mut rest = Buffer::from(bytes::Bytes::from_owner(block.bytes));
        let mut schema = None;
        let mut messages = Vec::new();
        while let Some((message, body)) = next_message(&mut rest).map_err(broken)? {
            let header = message.as_ref();
            match (header.header_type(), header.header_as_schema()) {
                (_, Some(found)) if schema.is_none() => {
                    schema = Some(Arc::new(try_fb_to_schema(found).map_err(broken)?));
                }
                (MessageHeader::DictionaryBatch | MessageHeader::RecordBatch, _) if schema.is_some() => {
                    messages.push((message, body));
                }
                (MessageHeader::NONE, _) => {}
                (other, _) => {
                    let place = if schema.is_some() { "behind" } else { "before" };
                    return Err(broken(format!("a message of the type {other:?} stands {place} the schema")));
                }
            }
        }
        let schema = schema.ok_or_else(|| Error::input("the block holds no Arrow schema"))?;
        Ok(LazyTable { schema, messages: messages.into() })
    }
}

/// Takes the next message off the bytes of a stream, and what belongs to it; nothing at its end.
fn next_message(rest: &mut Buffer) -> Result<Option<(MessageBuffer, Buffer)>, ArrowError> {
    const CONTINUATION: u32 = u32::MAX;
    if rest.is_empty() {
        return Ok(None);
    }
    let size = match take_number(rest)? {
        CONTINUATION => take_number(rest)?,
        // As it was before version 0.15.
        size => size,
    };
    if size == 0 {
        return match rest.is_empty() {
            true => Ok(None),
            false => Err(ArrowError::IpcError(format!("{} bytes follow the end of the stream", rest.len()))),
        };
    }
    let message = MessageBuffer::try_new(take(rest, size.into())?)?;
    let body = take(rest, message.as_ref().bodyLength())?;
    Ok(Some((message, body)))
}

fn take_number(rest: &mut Buffer) -> Result<u32, ArrowError> {
    let bytes = take(rest, 4)?;
    Ok(bytes.as_slice().try_into().map_or(0, u32::from_le_bytes))
}

fn take(rest: &mut Buffer, length: i64) -> Result<Buffer, ArrowError> {
    let found = rest.len();
    match usize::try_from(length).ok().filter(|length| *length <= found) {
        Some(length) => {
            let taken = rest.slice_with_length(0, length);
            rest.advance(length);
            Ok(taken)
        }
        None => Err(ArrowError::IpcError(format!("{found} bytes are left where {length} were announced"))),
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::input("the block is no well-formed Arrow stream").because(error)
}
