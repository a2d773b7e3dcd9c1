//! What a worker claims to have made, checked before it is taken.
#![forbid(unsafe_code)]

use engine::failure::Failure;
use engine::id::DatasetId;

use super::Driver;
use super::chunks::ChunkDesk;
use super::flight::Flight;
use super::request::Work;
use crate::block::Block;
use crate::block::adopt::{ClaimedBlock, ClaimedBytes};
use crate::ipc::ring::record::{self, MadePart, SmallBlock};
use crate::server::budget::Charge;
use crate::server::pool::Job;
use crate::server::runs::{Keep, Made};

/// An output that was checked, and the dataset it is bound to.
#[derive(Debug)]
pub struct Output {
    /// The output port.
    pub port: usize,
    /// The dataset; nothing if the port is not bound.
    pub dataset: Option<DatasetId>,
    /// The bytes.
    pub block: Block,
    /// Nothing for a small one, which is charged with others of its run.
    pub charge: Option<Charge>,
}

/// Why what a worker claims to have made is not taken.
pub enum Refused {
    /// It lies: as it stands after "the worker broke the protocol".
    Lie(String),
    /// It is true, and cannot be kept.
    Failure(Failure),
}

impl Driver {
    /// Checks what the worker claims to have made, in an answer of which some outputs are in segments.
    pub fn adopt_shared(&self, flight: &mut Flight, claims: record::SharedOutputs<'_>) -> Result<Vec<Output>, Refused> {
        let claim = |claim: Result<(u32, record::Output<'_>), record::Malformed>| {
            let (port, output) = claim.map_err(|problem| Refused::Lie(problem.to_string()))?;
            let (format, metadata, bytes) = match output {
                record::Output::Small(SmallBlock { format, metadata, payload }) => {
                    (format, metadata.to_owned(), ClaimedBytes::Inline(payload.to_vec()))
                }
                record::Output::Part(MadePart { format, part, size }) => {
                    (format, String::new(), ClaimedBytes::Part { part, size })
                }
            };
            Ok(ClaimedBlock { port, format: format.to_string(), metadata, bytes })
        };
        let claims = claims.map(claim).collect::<Result<_, Refused>>()?;
        self.adopt(flight, claims)
    }

    /// Checks what the worker claims to have made.
    pub fn adopt(&self, flight: &mut Flight, claims: Vec<ClaimedBlock>) -> Result<Vec<Output>, Refused> {
        let services = &self.shared.services;
        let job = &flight.job;
        let segments = self.worker.as_ref().and_then(|worker| worker.segments()).map(|segments| &**segments);
        let mut files = 0;
        let mut outputs = Outputs::of(job, flight.desk.as_deref());
        for claim in claims {
            let port = outputs.check(claim.port)?;
            let block = claim
                .adopt_of(&services.accounts, segments)
                .map_err(|problem| Refused::Lie(format!("the block of output {port} was refused: {problem}")))?;
            files += u64::from(block.small().is_none());
            let charge = match &mut flight.allowance {
                Some(allowance) => allowance.settle_block(block.size()),
                None => services.budget.charge(block.size()),
            };
            outputs.add(port, block, Some(charge));
        }
        let outputs = outputs.all()?;
        let all_files = if files == 0 { 0 } else { services.accounts.usage().files };
        if all_files > services.block_files_max {
            let problem = format!(
                "{all_files} datasets have a file of their own, and no more than {} may",
                services.block_files_max
            );
            return Err(Refused::Failure(self.subject(job).too_many_files(problem)));
        }
        if let Some(work @ Work::Load(..)) = Work::of_job(job) {
            let subject = work.subject(self.number);
            let check = |output: &Output| work.check_schema(&job.run, &output.block, &subject);
            outputs.iter().try_for_each(check).map_err(Refused::Failure)?;
        }
        Ok(outputs)
    }

    /// Takes the small outputs of a call out of an answer, where nobody but its run hears of its end; or what is wrong with the answer.
    pub fn adopt_quietly(ports: &[Option<DatasetId>], claims: record::Outputs<'_>) -> Result<Made, String> {
        let mut made = Made::with_capacity(ports.len());
        let mut next = 0;
        for claim in claims {
            let (port, small) = claim.map_err(|problem| problem.to_string())?;
            let place = usize::try_from(port).unwrap_or(usize::MAX);
            let Some(dataset) = ports.get(place) else {
                return Err(format!("output {port} was handed in, the task has {}", ports.len()));
            };
            // In their order, each once.
            if place != next {
                return Err(format!("output {port} was handed in, output {next} was to come"));
            }
            next += 1;
            made.extend(dataset.map(|dataset| (dataset, Block::uncounted(small), Keep::Small)));
        }
        if next < ports.len() {
            return Err(format!("{next} outputs were handed in, expected {}", ports.len()));
        }
        Ok(made)
    }

    /// Takes small outputs out of an answer; what it claims of them was checked where it was read.
    pub fn adopt_small(job: &Job, claims: record::Outputs<'_>) -> Result<Vec<Output>, Refused> {
        let mut outputs = Outputs::of(job, None);
        for claim in claims {
            let (port, small) = claim.map_err(|problem| Refused::Lie(problem.to_string()))?;
            let port = outputs.check(port)?;
            outputs.add(port, Block::uncounted(small), None);
        }
        outputs.all()
    }
}

/// The outputs of a task, as they are handed in.
struct Outputs<'a> {
    work: Option<Work<'a>>,
    /// Those of its outputs that are not handed in.
    desk: Option<&'a ChunkDesk>,
    expected: usize,
    list: Vec<Output>,
}

impl<'a> Outputs<'a> {
    fn of(job: &'a Job, desk: Option<&'a ChunkDesk>) -> Outputs<'a> {
        let work = Work::of_job(job);
        let expected = work.as_ref().map_or(0, Work::outputs_count);
        Outputs { work, desk, expected, list: Vec::with_capacity(expected) }
    }

    /// A port that was not handed in before.
    fn check(&self, claimed: u32) -> Result<usize, Refused> {
        let (port, expected) = (usize::try_from(claimed).unwrap_or(usize::MAX), self.expected);
        if port >= expected {
            return Err(Refused::Lie(format!("output {port} was handed in, the task has {expected}")));
        }
        if self.desk.is_some_and(|desk| desk.dataset(claimed).is_some()) {
            return Err(Refused::Lie(format!("output {port} was handed in whole, and is saved in chunks")));
        }
        if self.list.iter().any(|output| output.port == port) {
            return Err(Refused::Lie(format!("output {port} was handed in twice")));
        }
        Ok(port)
    }

    fn add(&mut self, port: usize, block: Block, charge: Option<Charge>) {
        let dataset = self.work.as_ref().and_then(|work| work.output(port));
        self.list.push(Output { port, dataset, block, charge });
    }

    fn all(mut self) -> Result<Vec<Output>, Refused> {
        let (found, expected) = (self.list.len() + self.desk.map_or(0, ChunkDesk::len), self.expected);
        if found < expected {
            return Err(Refused::Lie(format!("{found} outputs were handed in, expected {expected}")));
        }
        self.list.sort_unstable_by_key(|output| output.port);
        Ok(self.list)
    }
}
