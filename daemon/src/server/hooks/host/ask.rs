//! Questions on their way to a host: into the ring where their blocks are small, in parts if they are long, else as messages.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Host, Lost};
use crate::ipc::client::Input;
use crate::ipc::ring::DriverRings;
use crate::ipc::ring::event::{Event, Written};
use crate::ipc::ring::indices::SLOTS;
use crate::ipc::ring::record::{Head, Inputs, Record};

/// So many questions may be on their way as messages: more might find no room in the socket.
pub(super) const MESSAGES_MAX: usize = 8;

/// What is asked of a hook.
#[derive(Debug)]
pub struct Question<'q> {
    /// The positions of the plugin and of the hook in it.
    pub place: (u32, u32),
    /// The event, JSON.
    pub argument: &'q str,
    /// The blocks that go with it.
    pub inputs: &'q [Input],
    /// Whether another hook is asked about the same event next.
    pub has_more: bool,
}

/// One slot of the ring.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) index: u32,
    pub(super) token: u64,
    /// The end of a question: its answer says something.
    pub(super) is_question: bool,
    pub(super) is_message: bool,
}

impl Host {
    /// Whether a hook was given its options.
    pub fn is_configured(&self, place: (u32, u32)) -> bool {
        self.configured.contains(&place)
    }

    /// Asks a hook to take its options; its number.
    pub fn configure(&mut self, (plugin, hook): (u32, u32), options: &str) -> Result<u64, Lost> {
        let token = self.next_token();
        let sent = self.channel.configure(token, plugin, hook, options.to_owned());
        sent.map_err(|error| self.lost(error))?;
        self.push_message(token);
        Ok(token)
    }

    /// A hook has taken its options.
    pub fn note_configured(&mut self, place: (u32, u32)) {
        self.configured.insert(place);
    }

    /// Puts a question into the ring; its number, or nothing if there is no room until others are answered. It goes out with
    /// [`Host::publish`].
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Option<u64>, Lost> {
        let &Question { place: (plugin, hook), argument, inputs, has_more } = question;
        let is_small = inputs.iter().all(|input| match input {
            Input::Absent => true,
            Input::Json(_) => false,
            Input::Block(block) => block.small().is_some(),
        });
        let mut written = std::mem::take(&mut self.written);
        let fits = is_small && {
            let event = Event { plugin, hook, has_more, argument, inputs: Inputs::default() };
            let blocks = inputs.iter().map(|input| match input {
                Input::Block(block) => block.small(),
                Input::Absent | Input::Json(_) => None,
            });
            written.write(&event, blocks)
        };
        let asked = if fits { Ok(self.push_event(&written)) } else { self.ask_by_message(question) };
        self.written = written;
        asked
    }

    fn push_event(&mut self, event: &Written) -> Option<u64> {
        let mut left = event.slots();
        if self.asked.len() + left > SLOTS as usize {
            return None;
        }
        let token = self.next_token();
        let head = Head { token, messages: self.sent };
        let Host { rings, asked, record, .. } = self;
        self.has_come_on |= asked.is_empty();
        event.records(head, record, |record| {
            left -= 1;
            push(rings, asked, record, Asked { index: 0, token, is_question: left == 0, is_message: false });
        });
        Some(token)
    }

    fn ask_by_message(&mut self, question: &Question<'_>) -> Result<Option<u64>, Lost> {
        if self.messages >= MESSAGES_MAX || self.asked.len() >= SLOTS as usize {
            return Ok(None);
        }
        let &Question { place: (plugin, hook), argument, inputs, has_more } = question;
        let token = self.next_token();
        let sent = self.channel.event(token, plugin, hook, argument.to_owned(), inputs, has_more);
        sent.map_err(|error| self.lost(error))?;
        self.push_message(token);
        Ok(Some(token))
    }

    fn push_message(&mut self, token: u64) {
        self.sent += 1;
        self.messages += 1;
        self.has_come_on |= self.asked.is_empty();
        self.record.message(Head { token, messages: self.sent });
        let asked = Asked { index: 0, token, is_question: true, is_message: true };
        push(&mut self.rings, &mut self.asked, &self.record, asked);
    }

    /// Lets a host go on that has stopped at an answer which was more than that all is well.
    pub fn go_on(&mut self) {
        self.has_come_on |= self.asked.is_empty();
        self.record.go_on();
        let asked = Asked { index: 0, token: 0, is_question: false, is_message: false };
        push(&mut self.rings, &mut self.asked, &self.record, asked);
    }

    /// Shows the host what it was asked.
    pub fn publish(&mut self) {
        self.rings.publish();
    }

    /// For how long the host may look for a question before it sleeps.
    pub fn set_looks(&mut self, looks: Duration) {
        if !looks.is_zero() {
            self.rings.say_where();
        }
        if looks != self.looks {
            self.looks = looks;
            self.rings.set_patience_ns(u32::try_from(looks.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }
}

/// Puts a record into the ring. There is room: that was looked at before.
fn push(rings: &mut DriverRings, asked: &mut VecDeque<Asked>, record: &Record, new: Asked) {
    let oldest = asked.front().map(|asked| asked.index);
    if let Some(index) = rings.push(record, oldest) {
        asked.push_back(Asked { index, ..new });
    }
}
