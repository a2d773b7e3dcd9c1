//! Events for one hook.

use std::collections::BTreeMap;

use serde_json::json;

use super::MemoryHost;
use crate::{
    Error, Result,
    abi::{Call, Failure, InputBlock},
    hook::{self, Hook, HookSlot},
    manifest::HookManifest,
    node::Input,
    panics,
};

/// A hook with these options (JSON). See [`Hook`] for an example.
pub fn hook<H: Hook>(options: &str) -> Result<HookTest, Failure> {
    panics::install(false);
    let slot = HookSlot::<H>::new();
    let call = move |call: Call<'_>| panics::catch(|| slot.call(call).map_err(Failure::from));
    HookTest::new(hook::manifest::<H>(), Box::new(call), options)
}

type Callable = Box<dyn Fn(Call<'_>) -> Result<String, Failure>>;

/// A hook in plain memory, to send events to.
pub struct HookTest {
    manifest: HookManifest,
    call: Callable,
}

impl HookTest {
    pub(super) fn new(manifest: HookManifest, call: Callable, options: &str) -> Result<Self, Failure> {
        let options: serde_json::Value =
            serde_json::from_str(options).map_err(|error| Failure::from(Error::from(error)))?;
        let mut test = HookTest { manifest, call };
        test.send(&json!({ "event": "configure", "options": options }).to_string())?;
        Ok(test)
    }

    /// What the hook says of itself.
    pub fn manifest(&self) -> &HookManifest {
        &self.manifest
    }

    /// Sends an event (JSON).
    pub fn send(&mut self, event: &str) -> Result<Answer, Failure> {
        self.send_with(event, Vec::new())
    }

    /// Sends an event with its blocks: those of its inputs, then of its outputs, in the event's order.
    pub fn send_with(&mut self, event: &str, blocks: Vec<InputBlock>) -> Result<Answer, Failure> {
        let host = MemoryHost::new(event).with_inputs(blocks.into_iter().map(Some).collect());
        let json = (self.call)(Call::new(&host))?;
        Ok(Answer { json, blocks: host.take_outputs() })
    }
}

/// What a hook answered.
#[derive(Debug)]
pub struct Answer {
    /// `null`, or `{"replaced":["dataset", …]}`.
    pub json: String,
    blocks: BTreeMap<u32, InputBlock>,
}

impl Answer {
    /// The replacement of an input, by its place in the event.
    pub fn get<T: Input>(&self, input: u32) -> Result<T> {
        let block = self.blocks.get(&input).cloned();
        T::from_block(block.ok_or_else(|| Error::output(format!("the hook did not replace input {input}")))?)
    }
}
