//! A library whose constructor opens a file and keeps it: a forked worker sheds every descriptor that is not its own, so its
//! generation must start workers by exec, and each loads the library anew.

use std::fs::File;
use std::io::Read as _;
use std::sync::OnceLock;

use plugin_api::prelude::*;

static ZEROES: OnceLock<File> = OnceLock::new();

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = open_file;

extern "C" fn open_file() {
    // Where the file cannot be opened, the node says so; the tests would notice.
    if let Ok(file) = File::open("/dev/zero") {
        let _ = ZEROES.set(file);
    }
}

/// Reads from the file that was opened at load.
#[node(outputs = ["read"])]
fn read() -> Result<i64> {
    let mut file = ZEROES.get().context("the file was not opened at load")?;
    let mut bytes = [1; 8];
    file.read_exact(&mut bytes)?;
    Ok(i64::from_ne_bytes(bytes))
}

plugin! { nodes: [read] }
