//! Parquet's row groups, the columns of each encoded by two threads.
//!
//! Nearly all of the time of a save is spent on encoding and packing columns, which know nothing of each other; and while a
//! dataset is being saved, whoever reads it waits. So a large save takes a second thread along where the machine has
//! another core. That costs no work that one thread would not do, and gives the same file. What is encoded is written as soon as
//! the columns before it are, so that the disk is at work meanwhile.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use arrow_array::RecordBatch;
use arrow_schema::{Field, FieldRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::Result;
use parquet::file::properties::DEFAULT_MAX_ROW_GROUP_ROW_COUNT;
use parquet::file::writer::SerializedRowGroupWriter;

/// The number of values below which a second thread is not worth its start: they are encoded in about a millisecond.
const VALUES_MIN: usize = 1 << 17;
/// Groups are as long as those that `ArrowWriter` cuts.
const ROWS_MAX: usize = DEFAULT_MAX_ROW_GROUP_ROW_COUNT;

/// Writes a table's batches and ends the file.
pub fn write<W: Write + Send>(writer: ArrowWriter<W>, batches: &[RecordBatch]) -> Result<()> {
    let (mut file, factory) = writer.into_serialized_writer()?;
    for (number, group) in groups(batches).iter().enumerate() {
        let jobs = jobs(group, number, &factory)?;
        let encoding = Encoding {
            group,
            jobs: Mutex::new(jobs.into_iter()),
            encoded: Mutex::default(),
            written: Mutex::new((0, file.next_row_group()?)),
        };
        encoding.encode_all()?;
        encoding.finish()?;
    }
    file.close()?;
    Ok(())
}

/// Cuts batches into groups of rows.
fn groups(batches: &[RecordBatch]) -> Vec<Vec<RecordBatch>> {
    let mut groups = Vec::new();
    let mut room = 0;
    for batch in batches {
        let mut start = 0;
        while start < batch.num_rows() {
            if room == 0 {
                groups.push(Vec::new());
                room = ROWS_MAX;
            }
            let rows = room.min(batch.num_rows() - start);
            if let Some(group) = groups.last_mut() {
                group.push(batch.slice(start, rows));
            }
            start += rows;
            room -= rows;
        }
    }
    groups
}

/// A column that is to be encoded: its number, its field, and the writer of each of its leaves.
type Job = (usize, FieldRef, Vec<ArrowColumnWriter>);

/// The columns of a group that are to be encoded.
fn jobs(group: &[RecordBatch], number: usize, factory: &ArrowRowGroupWriterFactory) -> Result<Vec<Job>> {
    let Some(first) = group.first() else { return Ok(Vec::new()) };
    let mut writers = factory.create_column_writers(number)?.into_iter();
    let mut jobs: Vec<Job> = Vec::with_capacity(first.num_columns());
    for (column, field) in first.schema().fields().iter().enumerate() {
        let leaves = leaves(field, first, column)?.len();
        jobs.push((column, FieldRef::clone(field), writers.by_ref().take(leaves).collect()));
    }
    // Those that take longest come first, so that none of them is left over at the end: text, of which each value is looked up.
    jobs.sort_by_key(|(_, field, _)| field.data_type().is_primitive());
    Ok(jobs)
}

/// A row group under way.
struct Encoding<'a, 'f, W: Write> {
    group: &'a [RecordBatch],
    jobs: Mutex<std::vec::IntoIter<Job>>,
    /// What waits for the columns before it.
    encoded: Mutex<BTreeMap<usize, Vec<ArrowColumnChunk>>>,
    /// How many columns were written, and where to.
    written: Mutex<(usize, SerializedRowGroupWriter<'f, W>)>,
}

impl<W: Write + Send> Encoding<'_, '_, W> {
    /// Encodes all columns, with a second thread if they are many, and writes most of them.
    fn encode_all(&self) -> Result<()> {
        let values: usize = self.group.iter().map(|batch| batch.num_columns() * batch.num_rows()).sum();
        std::thread::scope(|scope| {
            let is_worth_it =
                values >= VALUES_MIN && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
            let encode = || Builder::new().name("encode".to_owned()).spawn_scoped(scope, || self.work()).ok();
            // Where there is no second thread to be had, this one does it all.
            let second = is_worth_it.then(encode).flatten();
            let mine = self.work();
            let others = second.map_or(Ok(()), |second| match second.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            mine.and(others)
        })
    }

    /// Encodes one column after the other until none is left.
    fn work(&self) -> Result<()> {
        // Taken in a function of its own: the lock is given up before the work begins.
        let next = || lock(&self.jobs).next();
        while let Some(job) = next() {
            let column = job.0;
            let chunks = encode_column(self.group, job)?;
            lock(&self.encoded).insert(column, chunks);
            // Somebody else who is at it will see this one, or it is left for the next one, or for the end.
            if let Ok(mut written) = self.written.try_lock() {
                self.write_ready(&mut written)?;
            }
        }
        Ok(())
    }

    /// Writes the columns whose turn it is.
    fn write_ready(&self, (written, row_group): &mut (usize, SerializedRowGroupWriter<'_, W>)) -> Result<()> {
        let next = |column: &usize| lock(&self.encoded).remove(column);
        while let Some(chunks) = next(written) {
            for chunk in chunks {
                chunk.append_to_row_group(row_group)?;
            }
            *written += 1;
        }
        Ok(())
    }

    /// Writes what is left.
    fn finish(self) -> Result<()> {
        self.write_ready(&mut lock(&self.written))?;
        let (_, row_group) = self.written.into_inner().unwrap_or_else(PoisonError::into_inner);
        row_group.close()?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encode_column(group: &[RecordBatch], (column, field, mut writers): Job) -> Result<Vec<ArrowColumnChunk>> {
    for batch in group {
        for (writer, leaf) in writers.iter_mut().zip(leaves(&field, batch, column)?) {
            writer.write(&leaf)?;
        }
    }
    writers.into_iter().map(ArrowColumnWriter::close).collect()
}

fn leaves(field: &Field, batch: &RecordBatch, column: usize) -> Result<Vec<ArrowLeafColumn>> {
    compute_leaves(field, batch.column(column))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, DictionaryArray, Int64Array, StringArray};

    use super::*;

    /// Columns of one leaf and of several, with values that miss.
    fn batch(rows: usize) -> RecordBatch {
        let numbers: Int64Array = (0..rows as i64).map(|row| (row % 7 != 0).then_some(row)).collect();
        let words: Vec<String> = (0..rows).map(|row| format!("w{}", row % 100)).collect();
        let codes: DictionaryArray<Int32Type> = words.iter().map(|word| Some(word.as_str())).collect();
        let mut lists = ListBuilder::new(Int64Builder::new());
        (0..rows).for_each(|row| lists.append_value((0..row as i64 % 3).map(Some)));
        let numbers: ArrayRef = Arc::new(numbers);
        let both = arrow_array::StructArray::from(vec![
            (Arc::new(Field::new("number", numbers.data_type().clone(), true)), Arc::clone(&numbers)),
            (Arc::new(Field::new("again", numbers.data_type().clone(), true)), Arc::clone(&numbers)),
        ]);
        RecordBatch::try_from_iter_with_nullable([
            ("numbers", numbers, true),
            ("words", Arc::new(StringArray::from(words)) as ArrayRef, true),
            ("codes", Arc::new(codes), true),
            ("lists", Arc::new(lists.finish()), true),
            ("both", Arc::new(both), true),
        ])
        .expect("batch")
    }

    #[test]
    fn the_file_is_the_one_that_one_thread_writes() {
        let rows = batch(VALUES_MIN / 4);
        let pieces = [rows.slice(0, 0), rows.slice(0, 1_000), rows.slice(1_000, rows.num_rows() - 1_000)];
        for batches in [&pieces[..], &pieces[..2], &pieces[..1], &[]] {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            let writer = |out| ArrowWriter::try_new(out, rows.schema(), None).expect("writer");
            let mut in_order = writer(&mut one);
            batches.iter().for_each(|batch| in_order.write(batch).expect("written"));
            in_order.close().expect("closed");
            write(writer(&mut two), batches).expect("written");
            assert!(one == two, "of {} batches", batches.len());
        }
    }

    #[test]
    fn groups_are_cut_at_a_million_rows() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![0; 3 << 19]));
        let batch = RecordBatch::try_from_iter([("a", numbers)]).expect("batch");
        let rows: Vec<Vec<usize>> = groups(&[batch.clone(), batch])
            .iter()
            .map(|group| group.iter().map(RecordBatch::num_rows).collect())
            .collect();
        assert_eq!(rows, [vec![1 << 20], vec![1 << 19, 1 << 19], vec![1 << 20]]);
    }
}
