//! What a crash of the daemon must not forget of a run that goes on: nodes that ended and log lines, which the store fetches at its own
//! pace.
#![forbid(unsafe_code)]

use engine::action::Happening;
use engine::id::NodeId;
use engine::report::NodeReport;
use protocol::NodeDetail;

use super::{Run, State};
use crate::server::convert;
use crate::server::store::Describe;

impl Run {
    /// Has the store keep nodes that finished, so that a crash of the daemon does not forget them.
    pub(super) fn note_finished(&self, positions: &[u32]) {
        if self.keeps_ledger && !positions.is_empty() && self.ledger.note_finished(positions) {
            self.services.store.fetch(&self.ledger);
        }
    }

    /// The same of one that ended in whatever way.
    pub(super) fn note_ended(&self, state: &State, happening: &Happening) {
        let (node, failure) = match happening {
            Happening::NodeFinished { node, .. } => return self.note_finished(&[node.0]),
            Happening::NodeFailed { node, failure, will_retry_in_ms: None, .. } => {
                (*node, Some(convert::failure(failure)))
            }
            _ => return,
        };
        if !self.keeps_ledger {
            return;
        }
        let report = state.engine.node_report(node);
        if let Some(detail) = convert::node_detail(&self.plan, &report, &self.run_facts(state), failure)
            && self.ledger.note_node(node.0, detail)
        {
            self.services.store.fetch(&self.ledger);
        }
    }

    /// Has the store keep the line that was just added to the log.
    pub(super) fn note_line(&self) {
        if self.keeps_ledger && self.ledger.note_line() {
            self.services.store.fetch(&self.ledger);
        }
    }

    /// Says that the report is about to be kept, and gives the number of the last line of the log that is kept already.
    pub fn close_ledger(&self) -> u64 {
        self.ledger.close()
    }
}

impl Describe for Run {
    fn describe(&self, positions: &[u32]) -> Vec<(u32, NodeDetail)> {
        let (reports, facts): (Vec<_>, _) = {
            let state = self.lock();
            let known =
                |position: &u32| self.plan.node(NodeId(*position)).map(|node| state.engine.node_report(node.id));
            (positions.iter().filter_map(known).collect(), self.run_facts(&state))
        };
        let detail =
            |report: &NodeReport| Some((report.node.0, convert::node_detail(&self.plan, report, &facts, None)?));
        reports.iter().filter_map(detail).collect()
    }
}
