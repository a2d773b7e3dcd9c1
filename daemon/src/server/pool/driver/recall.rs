//! What lies in the worker's ring behind the task under way, and comes back from there: when another driver is idle, when that task waits for
//! memory, when some of it is not wanted any more, or when the worker has gone.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::again::Again;
use super::flight::Flight;
use super::{Driver, Job, Local};

impl Driver {
    /// Shows the worker what was put into its ring. First the engine: it must not take for skipped what may have run.
    pub fn publish(&mut self, local: &Local<Job>) {
        let first = self.flights.len().saturating_sub(std::mem::take(&mut self.unpublished));
        let mut refused = None;
        let mut place = first;
        while let Some(run) = self.flights.iter().nth(place).map(|flight| Arc::clone(&flight.job.run)) {
            let attempts = &mut self.attempts;
            attempts.clear();
            let same = self.flights.iter().skip(place).take_while(|flight| Arc::ptr_eq(&flight.job.run, &run));
            let begin = place;
            for flight in same {
                place += 1;
                // One that the engine was told of needs no more.
                if !flight.is_noted() {
                    attempts.push((flight.job.task, flight.job.attempt));
                }
            }
            if attempts.is_empty() {
                continue;
            }
            let mut answers = run.note_sent(attempts).into_iter();
            let is_refused = |flight: &Flight| !flight.is_noted() && answers.next() == Some(false);
            if let Some(found) = self.flights.iter().skip(begin).take(place - begin).position(is_refused) {
                refused = Some(begin + found);
                break;
            }
        }
        let Some(worker) = &mut self.worker else { return };
        let mut taken = Vec::new();
        if let Some(refused) = refused {
            // It was withdrawn meanwhile. It and what stands behind it never gets to the worker.
            while self.flights.len() > refused {
                worker.rings.unpush();
                taken.extend(self.flights.pop_back());
            }
            taken.reverse();
        }
        worker.rings.publish();
        if !taken.is_empty() {
            self.keep_taken(taken, local);
        }
    }

    /// Takes back what the worker has not begun with, for whoever comes first.
    pub fn take_back(&mut self, local: &Local<Job>) {
        self.publish(local);
        let mut taken = Vec::new();
        while self.flights.len() > 1 {
            let Some(worker) = &mut self.worker else { break };
            // An impossible index shows again where answers are taken, and ends the worker there.
            let Ok(Some(index)) = worker.rings.take_back() else { break };
            match self.flights.pop_back() {
                Some(flight) if flight.index == index => taken.push(flight),
                Some(flight) => {
                    self.flights.push(flight);
                    break;
                }
                None => break,
            }
        }
        // As they were sent.
        taken.reverse();
        self.keep_taken(taken, local);
        self.shared.queues.give_back(local, self.aside.take());
        self.note_behind();
    }

    /// What no worker has begun with, nor will: the engine is told, and what it still wants goes to whoever comes first.
    pub fn keep_taken(&mut self, taken: Vec<Flight>, local: &Local<Job>) {
        let mut jobs = Vec::new();
        let mut taken = taken.into_iter().peekable();
        while let Some(flight) = taken.next() {
            if flight.is_told() {
                // Sent anew, before anything else: it is nobody else's.
                self.again.push_front(Again::of(flight));
                continue;
            }
            let mut same = vec![flight.job];
            while let Some(flight) = taken.next_if(|next| !next.has_begun && Arc::ptr_eq(&next.job.run, &same[0].run)) {
                same.push(flight.job);
            }
            let attempts: Vec<_> = same.iter().map(|job| (job.task, job.attempt)).collect();
            let wanted = same[0].run.clone().taken_back(&attempts, local);
            let unwanted = wanted.iter().filter(|wanted| !**wanted).count();
            jobs.extend(same.into_iter().zip(wanted).filter_map(|(job, is_wanted)| is_wanted.then_some(job)));
            // One that was sent ahead comes as any other when the engine dispatches it.
            self.shared.services.budget.jobs_ended(&self.shared.party, unwanted);
        }
        self.shared.queues.give_back(local, jobs);
    }

    /// Lets those know who look for work how much waits behind the task under way, and whether they would do well to take it.
    pub fn note_behind(&mut self) {
        let behind = self.flights.behind() + usize::from(self.aside.is_some());
        let behind = u32::try_from(behind).unwrap_or(u32::MAX);
        let offers = behind > 0 && self.is_worth_sharing(0);
        if (behind, offers) != (self.behind, self.offers) {
            self.has_new_offer |= offers && !self.offers;
            (self.behind, self.offers) = (behind, offers);
            self.slot().set_behind(behind, offers);
        }
    }

    /// Gives what was on its way to a worker that has gone to whoever comes first; the first of them, if the engine was told that
    /// it has begun, to this driver's next worker.
    pub fn send_again(&mut self, first: Option<Flight>, local: &Local<Job>) {
        let mut taken = Vec::new();
        match first {
            Some(flight) if flight.is_told() => {
                let again = Again::of(flight);
                self.again.push_back(Again { tries: again.tries + 1, ..again });
            }
            first => taken.extend(first),
        }
        while let Some(flight) = self.flights.pop_front() {
            if flight.is_told() {
                self.again.push_back(Again::of(flight));
            } else {
                taken.push(flight);
            }
        }
        self.unpublished = 0;
        self.keep_taken(taken, local);
        self.note_behind();
    }

    /// A task goes back to where it came from: it was sent to no worker.
    pub fn withdraw(&mut self, job: Job, local: &Local<Job>) {
        if job.run.taken_back(&[(job.task, job.attempt)], local).first() == Some(&true) {
            self.shared.queues.give_back(local, [job]);
        } else {
            self.shared.services.budget.jobs_ended(&self.shared.party, 1);
        }
    }
}
