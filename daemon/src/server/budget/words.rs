//! What people are told of memory.

pub(super) fn never_message(bytes: u64, held: u64, limit: u64) -> String {
    format!(
        "the task needs {} of shared memory for its outputs, and the budget for all blocks is {} ([blocks] memory_budget_bytes)",
        in_words(bytes.saturating_add(held)),
        in_words(limit)
    )
}

pub(super) fn stuck_message(bytes: u64, held: u64, used: u64, limit: u64) -> String {
    format!(
        "the task needs {} more shared memory beside the {} it holds; {} of the budget of {} are in use ([blocks] memory_budget_bytes), \
         and every other running task waits for memory too, so none of it will be freed",
        in_words(bytes),
        in_words(held),
        in_words(used),
        in_words(limit)
    )
}

/// Writes a number of bytes so that a person can read it.
pub fn in_words(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn bytes_in_words() {
        assert_eq!(in_words(17), "17 bytes");
        assert_eq!(in_words(1536), "1.5 KiB");
        assert_eq!(in_words(u64::MAX), "17179869183.9 GiB");
    }
}
