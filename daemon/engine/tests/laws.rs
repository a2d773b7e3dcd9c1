//! The laws of a run, over random pipelines, orders and faults.
//!
//! A node starts only when all its inputs exist; at most one attempt of it is live; retries never exceed the policy; a dataset
//! is released exactly once, after its last reader and never before, and never an output of the pipeline; every run closes;
//! what is read again is loaded after its save, and a failed save takes it from its readers even where others read from memory;
//! a failure skips exactly its descendants; cancelling and stopping let nothing new start; results of old attempts are
//! ignored; what was sent is told as run or was taken back before anybody began with it; time-outs abort; the report adds up to the plan; the same events give the same actions.

mod sim;

use engine::action::Action;
use engine::policy::{OnFailure, RunPolicy};
use engine::run::Run;
use proptest::prelude::*;
use sim::world::{Temper, World};

fn policies() -> impl Strategy<Value = RunPolicy> {
    let timeouts = prop::option::weighted(0.1, 1u64..30_000_000);
    (any::<bool>(), any::<bool>(), any::<bool>(), prop::option::weighted(0.3, 0u32..4), timeouts).prop_map(
        |(goes_on, asynchronous_saves, fail_fast, tasks_max, timeout_us)| RunPolicy {
            on_failure: if goes_on { OnFailure::Continue } else { OnFailure::Stop },
            asynchronous_saves,
            fail_fast,
            tasks_max,
            timeout_us,
        },
    )
}

fn tempers() -> impl Strategy<Value = Temper> {
    let failing = prop_oneof![Just(0u32), Just(10), Just(40), Just(100)];
    let hanging = prop_oneof![Just(0u32), Just(30)];
    let sending = prop_oneof![Just(0u32), Just(30), Just(90)];
    (
        any::<u64>(),
        failing,
        hanging,
        sending,
        prop_oneof![Just(0u32), Just(20), Just(60)],
        prop::option::weighted(0.3, 0u32..40),
    )
        .prop_map(|(seed, failing, hanging, sending, noise, cancel_after)| Temper {
            seed,
            failing,
            hanging,
            sending,
            noise,
            cancel_after,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_keeps_every_law(draft in sim::pipeline::drafts(12), policy in policies(), temper in tempers()) {
        let mut world = World::new(draft.plan(), policy, temper);
        world.play();
        world.watch.at_end(&world.run);
    }

    #[test]
    fn parity_r23_the_same_events_give_the_same_actions(draft in sim::pipeline::drafts(8), policy in policies(), temper in tempers()) {
        let plan = draft.plan();
        let mut world = World::new(plan.clone(), policy, temper);
        world.play();
        let mut again: Vec<Action> = Vec::new();
        let mut run = Run::new(draft.plan(), policy);
        for (event, now) in &world.events {
            run.on(event.clone(), *now, &mut again);
        }
        prop_assert_eq!(again, world.actions);
        prop_assert_eq!(run.report(), world.run.report());
    }

    #[test]
    fn without_faults_every_run_succeeds(draft in sim::pipeline::drafts(12), policy in policies(), seed in any::<u64>()) {
        let temper = Temper { seed, failing: 0, hanging: 0, sending: 50, noise: 0, cancel_after: None };
        let policy = RunPolicy { timeout_us: None, ..policy };
        let mut draft = draft;
        draft.nodes.iter_mut().for_each(|node| node.times_out = false);
        let mut world = World::new(draft.plan(), policy, temper);
        world.play();
        world.watch.at_end(&world.run);
        prop_assert_eq!(world.run.state(), Some(engine::action::RunState::Succeeded));
    }
}
