//! How much memory processes hold, as `/proc` tells it.
#![forbid(unsafe_code)]

/// Bytes of memory of a process, in which a page that several processes share counts only in part; 0 if it has gone.
///
/// A forked worker shares most of its pages with its zygote: what is resident, added up, would be several times what is there.
pub fn proportional_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    kibibytes(&text, "Pss:").unwrap_or(0).saturating_mul(1024)
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_memory_and_no_process_none() {
        assert_eq!(kibibytes("Rss:    900 kB\nPss:     120 kB\n", "Pss:"), Some(120));
        assert!(proportional_bytes(std::process::id()) > 0);
        assert_eq!(proportional_bytes(u32::MAX), 0);
    }
}
