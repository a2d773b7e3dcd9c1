//! The protocol of the rings: who may change which word, and in which order. `README.md` beside this file argues why
//! nothing is lost, run twice or slept through.
//!
//! Written over [`Word`] rather than over `AtomicU32`, so that the model checker runs this very code (`model.rs`). It knows nothing of
//! what the slots hold, nor of how one sleeps: it says when to.

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// How many tasks, and how many answers, there is room for.
pub const SLOTS: u32 = 256;

/// One word that two processes share.
pub trait Word {
    /// Reads it.
    fn load(&self, order: Ordering) -> u32;
    /// Writes it.
    fn store(&self, value: u32, order: Ordering);
    /// Writes it if it holds `current`, with full order; says whether it did.
    fn replace(&self, current: u32, new: u32) -> bool;
    /// A sequentially consistent fence.
    fn fence();
}

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
    fn replace(&self, current: u32, new: u32) -> bool {
        self.compare_exchange(current, new, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// A word with a cache line of its own: what one side writes often must not slow down what the other reads.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Line<W>(pub W);

/// The words of a pair of rings.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Control<W> {
    /// One past the last task that was pushed. The driver's.
    bottom: Line<W>,
    /// The next task to be taken. Both move it on, by exchange.
    top: Line<W>,
    /// 1 while the worker sleeps or is about to. The worker sets it, either clears it.
    worker_asleep: Line<W>,
    /// One past the last answer that was pushed. The worker's.
    tail: Line<W>,
    /// 1 while the driver sleeps or is about to. The driver sets it, either clears it.
    driver_asleep: Line<W>,
    /// The driver wants to be woken when `tail` has come so far. The driver's.
    wake_at: Line<W>,
    /// For how many nanoseconds the worker may look for a task before it sleeps. The driver's.
    patience_ns: Line<W>,
    /// The processor that the worker was on when it last answered or woke up; none while it sleeps. The worker's; a hint.
    worker_processor: Line<W>,
    /// The processor that the driver is on, where it looks for answers. The driver's; a hint.
    driver_processor: Line<W>,
}

/// What the other side has written is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an index of the rings is {found}, expected {least} to {most}")]
pub struct Impossible {
    /// What was found.
    pub found: u32,
    /// The least it can be.
    pub least: u32,
    /// The most it can be.
    pub most: u32,
}

/// Checks an index that the other side writes: it must lie between two of ours. Indices wrap around.
fn between(least: u32, found: u32, most: u32) -> Result<u32, Impossible> {
    if found.wrapping_sub(least) <= most.wrapping_sub(least) {
        Ok(found)
    } else {
        Err(Impossible { found, least, most })
    }
}

/// The driver's end: it pushes tasks, takes tasks back that were not begun, and takes answers.
///
/// It keeps its own indices on its own side; what it reads from the shared words is checked against them.
#[derive(Debug, Default)]
pub struct DriverEnd {
    /// As it will be published.
    bottom: u32,
    /// As it was published.
    published: u32,
    /// The least that `top` can be: what it was seen to be.
    top: u32,
    /// The next answer to take.
    head: u32,
    /// Answers that may still come.
    unanswered: u32,
}

impl DriverEnd {
    /// Tasks that were pushed and neither answered nor taken back.
    pub fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// The slot of the next task, if it is free. `oldest` is the index of the oldest task that is not answered: its slot, and
    /// those after it, are the worker's.
    pub fn room(&self, oldest: Option<u32>) -> Option<u32> {
        let used = oldest.map_or(0, |oldest| self.bottom.wrapping_sub(oldest));
        (used < SLOTS && self.unanswered < SLOTS).then_some(self.bottom)
    }

    /// The task in the slot that [`DriverEnd::room`] gave is written; it goes out with [`DriverEnd::publish`].
    pub fn push(&mut self) {
        self.bottom = self.bottom.wrapping_add(1);
        self.unanswered += 1;
    }

    /// Forgets the task that was pushed last, if it was not published: the worker has not seen it.
    pub fn unpush(&mut self) {
        if self.bottom != self.published {
            self.bottom = self.bottom.wrapping_sub(1);
            self.unanswered = self.unanswered.saturating_sub(1);
        }
    }

    /// Shows what was pushed; true when the worker is to be woken.
    #[must_use]
    pub fn publish<W: Word>(&mut self, control: &Control<W>) -> bool {
        if self.published == self.bottom {
            return false;
        }
        self.published = self.bottom;
        control.bottom.0.store(self.bottom, Ordering::Release);
        W::fence();
        control.worker_asleep.0.load(Ordering::Relaxed) == 1 && control.worker_asleep.0.replace(1, 0)
    }

    /// Takes the task that was pushed last back, if the worker has not taken it; its index.
    pub fn take_back<W: Word>(&mut self, control: &Control<W>) -> Result<Option<u32>, Impossible> {
        debug_assert_eq!(self.published, self.bottom, "publish first");
        let last = self.bottom.wrapping_sub(1);
        // An early look: nothing is there to be taken back once the worker has come so far.
        let top = self.check_top(control)?;
        if top == self.bottom {
            return Ok(None);
        }
        // From here on the worker does not take it, unless it is the one it is taking right now.
        control.bottom.0.store(last, Ordering::Relaxed);
        W::fence();
        let top = self.check_top(control)?;
        let taken = if top == self.bottom {
            false
        } else if top == last {
            // The last one: whoever moves `top` on has it, and the index is used up.
            let is_ours = control.top.0.replace(last, self.bottom);
            if is_ours {
                self.top = self.bottom;
            }
            control.bottom.0.store(self.bottom, Ordering::Release);
            if is_ours {
                self.unanswered -= 1;
                return Ok(Some(last));
            }
            false
        } else {
            self.bottom = last;
            self.published = last;
            true
        };
        if taken {
            self.unanswered -= 1;
            return Ok(Some(last));
        }
        control.bottom.0.store(self.bottom, Ordering::Release);
        Ok(None)
    }

    fn check_top<W: Word>(&mut self, control: &Control<W>) -> Result<u32, Impossible> {
        self.top = between(self.top, control.top.0.load(Ordering::Acquire), self.bottom)?;
        Ok(self.top)
    }

    /// How many answers there are to take.
    pub fn answers<W: Word>(&self, control: &Control<W>) -> Result<u32, Impossible> {
        let most = self.head.wrapping_add(self.unanswered);
        between(self.head, control.tail.0.load(Ordering::Acquire), most).map(|tail| tail.wrapping_sub(self.head))
    }

    /// The slot of the next answer; one must be there.
    pub fn next_answer(&self) -> u32 {
        self.head
    }

    /// The next answer was read.
    pub fn answer_taken(&mut self) {
        self.head = self.head.wrapping_add(1);
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// Declares that the driver sleeps until so many answers are there (no more than can come). False if they are there by now,
    /// and then it does not.
    pub fn lie_down<W: Word>(&self, control: &Control<W>, answers: u32) -> Result<bool, Impossible> {
        let wanted = answers.clamp(1, self.unanswered.max(1));
        control.wake_at.0.store(self.head.wrapping_add(wanted), Ordering::Relaxed);
        control.driver_asleep.0.store(1, Ordering::Release);
        W::fence();
        if self.answers(control)? >= wanted {
            self.get_up(control);
            return Ok(false);
        }
        Ok(true)
    }

    /// Declares that the driver is awake, woken by whatever.
    pub fn get_up<W: Word>(&self, control: &Control<W>) {
        control.driver_asleep.0.store(0, Ordering::Relaxed);
    }
}

/// The worker's end: it takes tasks and pushes one answer for each.
///
/// It trusts the driver: the server may do with it what it likes anyway.
#[derive(Debug, Default)]
pub struct WorkerEnd {
    tail: u32,
}

impl WorkerEnd {
    /// Takes the next task; its index. Its slot is the worker's until its answer is pushed.
    pub fn take<W: Word>(&self, control: &Control<W>) -> Option<u32> {
        loop {
            let top = control.top.0.load(Ordering::Acquire);
            W::fence();
            let bottom = control.bottom.0.load(Ordering::Acquire);
            // The driver may have drawn `bottom` back below `top` for a moment.
            if bottom.wrapping_sub(top).cast_signed() <= 0 {
                return None;
            }
            if control.top.0.replace(top, top.wrapping_add(1)) {
                return Some(top);
            }
        }
    }

    /// The slot of the next answer; it is free, as no more answers are on the way than tasks there is room for.
    pub fn next_answer(&self) -> u32 {
        self.tail
    }

    /// Shows the answer that was written there; true when the driver is to be woken.
    #[must_use]
    pub fn answer<W: Word>(&mut self, control: &Control<W>) -> bool {
        self.tail = self.tail.wrapping_add(1);
        control.tail.0.store(self.tail, Ordering::Release);
        W::fence();
        control.driver_asleep.0.load(Ordering::Acquire) == 1
            && self.tail.wrapping_sub(control.wake_at.0.load(Ordering::Relaxed)).cast_signed() >= 0
            && control.driver_asleep.0.replace(1, 0)
    }

    /// Declares that the worker sleeps until it is woken, and gives the word it sleeps on (while that is 1). Nothing if there is a
    /// task after all, and then it does not sleep.
    pub fn lie_down<'c, W: Word>(&self, control: &'c Control<W>) -> Option<&'c W> {
        control.worker_asleep.0.store(1, Ordering::Relaxed);
        W::fence();
        let top = control.top.0.load(Ordering::Relaxed);
        if control.bottom.0.load(Ordering::Acquire).wrapping_sub(top).cast_signed() > 0 {
            self.get_up(control);
            return None;
        }
        Some(&control.worker_asleep.0)
    }

    /// Declares that the worker is awake.
    pub fn get_up<W: Word>(&self, control: &Control<W>) {
        control.worker_asleep.0.store(0, Ordering::Relaxed);
    }
}

impl<W: Word> Control<W> {
    /// Whether there may be a task to take: a look that costs nothing.
    pub fn has_task(&self) -> bool {
        self.bottom.0.load(Ordering::Relaxed).wrapping_sub(self.top.0.load(Ordering::Relaxed)).cast_signed() > 0
    }

    /// The words that the worker writes: `top` and `tail`.
    #[cfg(test)]
    pub fn claims(&self) -> [&Line<W>; 2] {
        [&self.top, &self.tail]
    }

    /// For how long the worker may look for a task before it sleeps; the driver knows who else wants the processors.
    pub fn set_patience_ns(&self, patience_ns: u32) {
        self.patience_ns.0.store(patience_ns, Ordering::Relaxed);
    }

    /// See [`Control::worker_processor`].
    pub fn set_worker_processor(&self, processor: u32) {
        self.worker_processor.0.store(processor, Ordering::Relaxed);
    }

    /// The processor that the worker says it was on when it last answered.
    pub fn worker_processor(&self) -> u32 {
        self.worker_processor.0.load(Ordering::Relaxed)
    }

    /// See [`Control::driver_processor`].
    pub fn set_driver_processor(&self, processor: u32) {
        self.driver_processor.0.store(processor, Ordering::Relaxed);
    }

    /// The processor that the driver said it was on when it last allowed looking for tasks.
    pub fn driver_processor(&self) -> u32 {
        self.driver_processor.0.load(Ordering::Relaxed)
    }

    /// See [`Control::set_patience_ns`].
    pub fn patience_ns(&self) -> u32 {
        self.patience_ns.0.load(Ordering::Relaxed)
    }

    /// The word that the worker sleeps on, for who wakes it.
    pub fn worker_bed(&self) -> &W {
        &self.worker_asleep.0
    }
}
