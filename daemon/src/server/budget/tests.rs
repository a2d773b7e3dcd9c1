#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

fn allowance(budget: &Arc<Budget>, party: &Arc<Party>) -> Allowance {
    Allowance::new(Arc::clone(budget), Arc::clone(party), Arc::new(Bell::new().unwrap()))
}

#[test]
fn what_never_fits_is_refused_with_the_figures() {
    let budget = Budget::new(1 << 20);
    let party = budget.join(2);
    budget.jobs_added(&party, 1);
    let Answer::Refused(message) = allowance(&budget, &party).request(3 << 20) else { panic!("must be refused") };
    assert!(message.contains("3.0 MiB") && message.contains("1.0 MiB"), "{message}");
}

#[test]
fn a_wait_ends_when_a_block_is_released() {
    let budget = Budget::new(100);
    let party = budget.join(2);
    budget.jobs_added(&party, 2);
    let block = budget.charge(80);
    let mut waiting = allowance(&budget, &party);
    assert!(matches!(waiting.request(50), Answer::Waiting));
    assert!(waiting.poll().is_none());
    drop(block);
    assert!(matches!(waiting.poll(), Some(Answer::Granted)));
    assert!(waiting.bell.answer(), "the driver was told");
    assert_eq!(budget.usage(), Usage { blocks: 0, bytes: 50, limit: 100 });
}

#[test]
fn the_last_of_those_who_wait_for_each_other_is_refused() {
    let budget = Budget::new(100);
    let party = budget.join(2);
    budget.jobs_added(&party, 2);
    let (mut first, mut second) = (allowance(&budget, &party), allowance(&budget, &party));
    assert!(matches!(first.request(50), Answer::Granted));
    assert!(matches!(second.request(40), Answer::Granted));
    assert!(matches!(first.request(50), Answer::Waiting));
    let Answer::Refused(message) = second.request(50) else { panic!("nobody could go on") };
    assert!(message.contains("50 bytes") && message.contains("90 bytes"), "{message}");
    drop(second);
    assert!(matches!(first.poll(), Some(Answer::Granted)));
}

#[test]
fn a_wait_is_refused_when_the_last_other_job_ends_without_freeing() {
    let budget = Budget::new(100);
    let party = budget.join(2);
    budget.jobs_added(&party, 2);
    let _resident = budget.charge(80);
    let mut waiting = allowance(&budget, &party);
    assert!(matches!(waiting.request(50), Answer::Waiting));
    budget.jobs_ended(&party, 1);
    assert!(matches!(waiting.poll(), Some(Answer::Refused(_))));
}

#[test]
fn a_task_that_will_be_tried_again_is_waited_for() {
    let budget = Budget::new(100);
    let party = budget.join(2);
    budget.jobs_added(&party, 2);
    let _block = budget.charge(80);
    let mut waiting = allowance(&budget, &party);
    assert!(matches!(waiting.request(50), Answer::Waiting));
    // The other job failed and will be tried again; then its run is cancelled instead, and nothing is left to wait for.
    budget.backing_off_added(&party, 1);
    budget.jobs_ended(&party, 1);
    assert!(waiting.poll().is_none());
    budget.backing_off_ended(&party, 1);
    assert!(matches!(waiting.poll(), Some(Answer::Refused(_))));
}

#[test]
fn a_worker_that_took_more_than_it_asked_for_is_charged_for_it() {
    let budget = Budget::new(100);
    let party = budget.join(1);
    let mut allowance = allowance(&budget, &party);
    assert!(matches!(allowance.request(10), Answer::Granted));
    let charge = allowance.settle_block(30);
    assert_eq!(budget.usage().bytes, 30);
    drop(allowance);
    assert_eq!(budget.usage().bytes, 30);
    drop(charge);
    assert_eq!(budget.usage(), Usage { blocks: 0, bytes: 0, limit: 100 });
}

#[derive(Debug, Clone)]
enum Step {
    Begin,
    Request { task: usize, bytes: u64 },
    Finish { task: usize, keep: bool },
    Release { block: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Begin),
        (any::<usize>(), 1..60_u64).prop_map(|(task, bytes)| Step::Request { task, bytes }),
        (any::<usize>(), any::<bool>()).prop_map(|(task, keep)| Step::Finish { task, keep }),
        any::<usize>().prop_map(|block| Step::Release { block }),
    ]
}

proptest! {
    /// Whatever happens: grants never exceed the limit, the books add up, and there is always somebody who can go on.
    #[test]
    fn the_books_add_up_and_somebody_can_go_on(steps in prop::collection::vec(step(), 1..120)) {
        const DRIVERS: usize = 3;
        let budget = Budget::new(100);
        let party = budget.join(DRIVERS);
        let mut tasks: Vec<Allowance> = Vec::new();
        let mut blocks: Vec<Charge> = Vec::new();
        for step in steps {
            match step {
                Step::Begin if tasks.len() < DRIVERS => {
                    budget.jobs_added(&party, 1);
                    tasks.push(allowance(&budget, &party));
                }
                Step::Request { task, bytes } if !tasks.is_empty() => {
                    let index = task % tasks.len();
                    if !tasks[index].is_waiting() {
                        tasks[index].request(bytes);
                    }
                }
                Step::Finish { task, keep } if !tasks.is_empty() => {
                    let index = task % tasks.len();
                    if !tasks[index].is_waiting() {
                        let mut done = tasks.remove(index);
                        let held = done.held;
                        if keep && held > 0 {
                            blocks.push(done.settle_block(held));
                        }
                        drop(done);
                        budget.jobs_ended(&party, 1);
                    }
                }
                Step::Release { block } if !blocks.is_empty() => {
                    blocks.remove(block % blocks.len());
                }
                _ => {}
            }
            for task in &mut tasks {
                task.poll();
            }
            let usage = budget.usage();
            let held: u64 = tasks.iter().map(|task| task.held).sum::<u64>() + blocks.iter().map(|block| block.bytes()).sum::<u64>();
            prop_assert_eq!(usage.bytes, held);
            prop_assert!(usage.bytes <= 100);
            prop_assert_eq!(usage.blocks as usize, blocks.len());
            let waiting = tasks.iter().filter(|task| task.is_waiting()).count();
            prop_assert!(waiting == 0 || waiting < tasks.len(), "everybody waits");
        }
        drop(tasks);
        drop(blocks);
        prop_assert_eq!(budget.usage().bytes, 0);
    }
}
