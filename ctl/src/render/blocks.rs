//! Blocks in memory, as a table, and what became of an eviction.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::{BlockHolder, BlockInfo, BlockList, Eviction, OutputList, OutputState};

use super::paint::{Paint, Tone, harmless};
use super::table::{Cell, Table};
use super::units::{count, duration, size};

/// The time of day, for ages.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Lists blocks, and how much they take together.
pub fn list(list: &BlockList, now_us: i64, paint: Paint) -> String {
    if list.blocks.is_empty() {
        return "no dataset is in memory\n".to_owned();
    }
    let mut table = Table::new(&["dataset", "kept by", "kind", ">size", ">readers", ">age", "format", "from"]);
    for block in &list.blocks {
        let holder = match (&block.run, block.holder) {
            (Some(run), BlockHolder::Run) => format!("run {run}"),
            (Some(run), BlockHolder::Output) => format!("output of {run}"),
            (_, holder) => holder.as_str().to_owned(),
        };
        let kind = if block.kind == block.format { "" } else { block.format.as_str() };
        let holder = if block.is_leaving { format!("{holder}, leaving") } else { holder };
        table.row(vec![
            Cell::new(Tone::Strong, block.name.as_str()),
            Cell::new(if block.is_leaving { Tone::Notable } else { Tone::Plain }, holder),
            block.kind.as_str().into(),
            size(block.bytes).into(),
            block.readers.to_string().into(),
            duration(now_us.saturating_sub(block.since_us)).into(),
            Cell::new(Tone::Faint, kind),
            Cell::new(Tone::Faint, block.path.as_deref().unwrap_or_default()),
        ]);
    }
    let bytes = list.blocks.iter().map(|block| block.bytes).sum();
    format!("{}\n{}, {}\n", table.text(0, paint), count(list.blocks.len() as u64, "block"), size(bytes))
}

/// Lists what a run has made.
pub fn outputs(list: &OutputList, paint: Paint) -> String {
    if list.outputs.is_empty() {
        return "the run has no outputs: every dataset that it makes is read by one of its nodes\n".to_owned();
    }
    let mut table = Table::new(&["output", "state", "kind", ">size", "saved as", "at", "because"]);
    for output in &list.outputs {
        let (word, tone) = match output.state {
            OutputState::Ready => ("ready", Tone::Good),
            OutputState::Pending => ("not made", Tone::Notable),
            OutputState::Gone => ("gone", Tone::Notable),
        };
        let storage = if output.storage == "memory" { "" } else { output.storage.as_str() };
        table.row(vec![
            Cell::new(Tone::Strong, output.name.as_str()),
            Cell::new(tone, word),
            output.kind.clone().unwrap_or_default().into(),
            output.bytes.map(size).unwrap_or_default().into(),
            storage.into(),
            Cell::new(Tone::Faint, output.path.as_deref().unwrap_or_default()),
            Cell::new(Tone::Faint, output.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table.text(0, paint)
}

/// Says what was dropped, and what will be.
pub fn eviction(eviction: &Eviction) -> String {
    let line = |block: &BlockInfo, what: &str| format!("{} ({}): {what}\n", harmless(&block.name), size(block.bytes));
    let dropped = eviction.dropped.iter().map(|block| line(block, "dropped"));
    let leaving = eviction
        .leaving
        .iter()
        .map(|block| line(block, &format!("is read by {} now and goes with the last", count(block.readers, "run"))));
    let text: String = dropped.chain(leaving).collect();
    if text.is_empty() { "no dataset is resident\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str, holder: BlockHolder, run: Option<&str>) -> BlockInfo {
        BlockInfo {
            name: name.to_owned(),
            holder,
            run: run.map(str::to_owned),
            kind: "table".to_owned(),
            format: "arrow".to_owned(),
            bytes: 2048,
            readers: 2,
            since_us: 1_000_000,
            dataset_type: None,
            path: Some("/data/d.csv".to_owned()),
            is_leaving: false,
        }
    }

    #[test]
    fn blocks_are_listed_with_their_holder_and_age() {
        let mut blocks =
            vec![block("companies", BlockHolder::Resident, None), block("clean", BlockHolder::Run, Some("r1"))];
        blocks[1].path = None;
        let want = "
dataset    kept by   kind      size  readers     age  format  from
companies  resident  table  2.0 KiB        2  5.00 s  arrow   /data/d.csv
clean      run r1    table  2.0 KiB        2  5.00 s  arrow

2 blocks, 4.0 KiB
";
        assert_eq!(format!("\n{}", list(&BlockList { blocks }, 6_000_000, Paint::new(false))), want);
        assert_eq!(list(&BlockList::default(), 0, Paint::new(false)), "no dataset is in memory\n");
    }

    #[test]
    fn an_eviction_tells_what_stays_for_a_while() {
        let dropped = vec![block("a", BlockHolder::Resident, None)];
        let leaving = vec![block("b", BlockHolder::Resident, None)];
        let text = eviction(&Eviction { dropped, leaving });
        assert_eq!(text, "a (2.0 KiB): dropped\nb (2.0 KiB): is read by 2 runs now and goes with the last\n");
    }
}
