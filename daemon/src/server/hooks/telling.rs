//! An event to be told, and what came of telling it.

use engine::failure::Failure;

use super::event::HookEventName;
use crate::ipc::client::Input;
use crate::ipc::message::DESCRIPTORS_MAX;
use crate::server::clock::Clock;
use crate::server::json::JsonObject;
use crate::server::runs::Run;

/// A packet takes so many descriptors; a hook is told that the data of the others did not come.
const BLOCKS_MAX: usize = DESCRIPTORS_MAX - 8;

/// What all events say takes about so many bytes.
const ENVELOPE_BYTES: usize = 192;

/// An event to be told.
#[derive(Debug)]
pub struct Telling<'r> {
    pub(super) event: HookEventName,
    pub(super) run: Option<&'r Run>,
    /// What only this event says.
    details: JsonObject,
    /// The event as hooks read it, once the first of them is told.
    pub(super) argument: String,
    /// The blocks that go with it; some of them a hook may have replaced.
    pub inputs: Vec<Input>,
    /// Whether one has.
    pub has_new_inputs: bool,
    /// It is told only if no hook's failure counts at the one before it.
    pub(super) follows: bool,
    /// The failure of the first hook whose policy is that its failure counts; those after it were not called.
    pub result: Result<(), Box<Failure>>,
}

impl<'r> Telling<'r> {
    /// An event of a run, or of none.
    pub fn new(event: HookEventName, run: Option<&'r Run>, details: JsonObject, mut inputs: Vec<Input>) -> Telling<'r> {
        inputs.iter_mut().skip(BLOCKS_MAX).for_each(|input| *input = Input::Absent);
        let (argument, result) = (String::new(), Ok(()));
        Telling { event, run, details, argument, inputs, has_new_inputs: false, follows: false, result }
    }

    /// The same, of an event that there is only if no hook's failure counts at the event told before it.
    pub fn following(self) -> Telling<'r> {
        Telling { follows: true, ..self }
    }

    /// Writes the event as hooks read it. Numbered when the first of them is told, so that numbers follow each other as events do.
    pub(super) fn write(&mut self, clock: Clock) {
        if !self.argument.is_empty() {
            return;
        }
        let mut argument = JsonObject::with_room_for(self.details.bytes() + ENVELOPE_BYTES);
        argument.text("event", self.event.word());
        if let Some(run) = self.run {
            argument.text("run", &run.id);
            argument.text("pipeline", run.plan.name());
        }
        argument.number("sequence", self.run.map_or(1, Run::next_hook_sequence));
        argument.number("time_us", clock.unix_us_now());
        argument.all_of(&self.details);
        self.argument = argument.end();
    }
}
