//! Hooks that interfere: one within its rights, the others not.

use std::time::Duration;

use plugin_api::prelude::*;

/// Changes a node's input.
pub struct Doubling;

/// Doubles the input `number` of any node.
#[hook]
impl Hook for Doubling {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Doubling)
    }

    fn before_node_run(&mut self, _event: &BeforeNodeRun, inputs: &NodeInputs) -> Result<()> {
        if inputs.datasets().iter().any(|dataset| dataset == "number") {
            let number: i64 = inputs.get("number")?;
            inputs.replace("number", 2 * number)?;
        }
        Ok(())
    }
}

/// Says no.
pub struct Refusing;

/// Refuses every node with a reason.
#[hook]
impl Hook for Refusing {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Refusing)
    }

    fn before_node_run(&mut self, event: &BeforeNodeRun, _inputs: &NodeInputs) -> Result<()> {
        bail!("{} may not run on a Sunday", event.node)
    }
}

/// Panics.
pub struct Panicking;

/// Panics at the end of every node.
#[hook]
impl Hook for Panicking {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Panicking)
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        panic!("the listener fell off its chair at {}", event.node)
    }
}

/// Never answers.
pub struct Hanging;

/// Hangs at the end of every node.
#[hook]
impl Hook for Hanging {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Hanging)
    }

    fn after_node_run(&mut self, _event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        loop {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Takes its process with it.
pub struct Crashing;

/// Crashes the hook host at the end of every node.
#[hook]
impl Hook for Crashing {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Crashing)
    }

    fn after_node_run(&mut self, _event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        let unmapped = std::ptr::without_provenance_mut::<u8>(64);
        // SAFETY: broken on purpose: the first page is never mapped, so this write is a SIGSEGV.
        unsafe { unmapped.write_volatile(1) };
        Ok(())
    }
}

/// Gives a node a dataset that it does not read.
pub struct Misnaming;

/// Replaces what no node reads.
#[hook]
impl Hook for Misnaming {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Misnaming)
    }

    fn before_node_run(&mut self, event: &BeforeNodeRun, inputs: &NodeInputs) -> Result<()> {
        if event.node == "read" { inputs.replace("number_of_moons", 2) } else { Ok(()) }
    }
}

/// Gives a node a text for a number.
pub struct Mistyping;

/// Replaces the input `number` by a text.
#[hook]
impl Hook for Mistyping {
    fn new(_options: HookOptions) -> Result<Self> {
        Ok(Mistyping)
    }

    fn before_node_run(&mut self, event: &BeforeNodeRun, inputs: &NodeInputs) -> Result<()> {
        if event.node == "read" { inputs.replace("number", Text::from("many")) } else { Ok(()) }
    }
}
