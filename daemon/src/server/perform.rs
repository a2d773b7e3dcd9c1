//! Carries out what the engine asks for. Decides nothing, and is called when the run's lock has been let go.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::action::Action;

use crate::server::pool::{Job, Local};
use crate::server::runs::Run;

/// Carries out the actions of one step, in their order. `driver` has the deques of the driver that stepped the run, if one did:
/// what became ready stays with it.
pub fn perform(run: &Arc<Run>, actions: &mut Vec<Action>, driver: Option<&Local<Job>>) {
    let dispatched = actions.iter().filter(|action| matches!(action, Action::Dispatch { .. })).count();
    let mut jobs = Vec::with_capacity(dispatched);
    for action in actions.drain(..) {
        match action {
            Action::Dispatch { task, attempt } => jobs.push(Job { run: Arc::clone(run), task, attempt, heard: None }),
            Action::Abort { task, attempt, reason } => {
                // First the sign, then the drivers: what they take back they look at again.
                run.note_abort();
                run.generation.pool.abort(run, task, attempt, reason);
            }
            Action::Release { dataset } => run.release(dataset),
            // Told under the run's lock, so that all listeners see one order.
            Action::Emit(_) => {}
            Action::Close { .. } => {
                // Nothing reads a block any more. What the run still holds goes here, before the job that ended the run is
                // counted as ended: the usher calls hooks first, and meanwhile the budget would refuse tasks of other runs
                // that wait for these very bytes.
                run.leave_outputs();
                run.release_all();
                run.close();
            }
        }
    }
    run.generation.pool.take(&mut jobs, driver);
}
