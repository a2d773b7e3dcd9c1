//! Nodes that take their time: for ever, until they are told, or until somebody else is there too.

use std::fs;
use std::path::Path;
use std::time::Duration;

use plugin_api::prelude::*;

const NAP: Duration = Duration::from_millis(2);

/// Never returns and never asks whether it should. Asleep, so that other tests keep the processor.
#[node(outputs = ["value"])]
pub fn loops() -> i64 {
    loop {
        std::thread::sleep(NAP);
    }
}

/// Waits until it is cancelled, and stops as it was asked to.
#[node(outputs = ["value"])]
pub fn waits_for_cancel(ctx: &Context) -> Result<i64> {
    loop {
        ctx.check_cancelled()?;
        std::thread::sleep(NAP);
    }
}

/// Waits until a file exists; stops when cancelled.
#[node(outputs = ["value"])]
pub fn waits_for_file(file: Params<String>, ctx: &Context) -> Result<i64> {
    wait_for_file(&file, ctx)?;
    Ok(1)
}

/// Waits until the file exists or the node is cancelled.
pub fn wait_for_file(file: &str, ctx: &Context) -> Result<()> {
    while !Path::new(file).exists() {
        ctx.check_cancelled()?;
        std::thread::sleep(NAP);
    }
    Ok(())
}

/// Leaves a file named after the node in a folder, then waits until `count` are there: it returns only where as many
/// nodes run at the same time.
#[node(outputs = ["value"])]
pub fn meets(folder: Params<String>, count: Params<i64>, ctx: &Context) -> Result<i64> {
    meet(&folder, *count, ctx)
}

/// Says that this node is here, and waits for the others.
pub fn meet(folder: &str, count: i64, ctx: &Context) -> Result<i64> {
    fs::create_dir_all(folder)?;
    fs::write(Path::new(folder).join(ctx.node()), "")?;
    loop {
        let present = fs::read_dir(folder)?.count() as i64;
        if present >= count {
            return Ok(present);
        }
        ctx.check_cancelled()?;
        std::thread::sleep(NAP);
    }
}

/// Sleeps for a while, after whatever it is bound to.
#[node(outputs = ["value"])]
pub fn sleeps(milliseconds: Params<i64>, after: Option<i64>) -> i64 {
    let _ = after;
    std::thread::sleep(Duration::from_millis(milliseconds.unsigned_abs()));
    *milliseconds
}
