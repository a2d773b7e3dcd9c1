//! From how a task ended to a failure that a person understands.
#![forbid(unsafe_code)]

use engine::action::AbortReason;
use engine::failure::{Failure, FailureKind};

use crate::ipc::message::{Ending, TaskFailure};
use crate::server::budget::in_words;
use crate::server::generations::{ProcessEnd, signal_name};

/// What a failure is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What was being done, as it stands after "while": `running node "a" (p::f)`.
    pub doing: String,
    /// The plugin whose code ran.
    pub plugin: String,
    /// The driver's number.
    pub worker: u32,
}

impl Subject {
    /// A failure about it.
    pub fn failure(&self, kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { plugin: self.plugin.clone(), worker: Some(self.worker), ..Failure::new(kind, message) }
    }

    /// What the plugin, or the worker on its behalf, said itself.
    pub fn reported(&self, reported: TaskFailure) -> Failure {
        let kind = match reported.kind.as_str() {
            "panic" => FailureKind::Panic,
            "output" | "protocol" => FailureKind::Protocol,
            "budget" => FailureKind::Budget,
            _ => FailureKind::Error,
        };
        let mut failure = self.failure(kind, reported.message);
        failure.place = reported.place;
        failure.causes = reported.causes;
        failure.hints = Some(reported.hint).filter(|hint| !hint.is_empty()).into_iter().collect();
        if kind == FailureKind::Panic && failure.hints.is_empty() {
            failure
                .hints
                .push(format!("a panic is a defect of the plugin {}; the place is in its source", self.plugin));
        }
        failure
    }

    /// The attempt was stopped, and by whom.
    pub fn aborted(&self, reason: AbortReason) -> Failure {
        match reason {
            AbortReason::Timeout => {
                let mut failure = self.failure(FailureKind::Timeout, format!("{} took longer than it may", self.doing));
                failure.hints.push("raise the node's timeout_seconds, or look at what it waits for".to_owned());
                failure
            }
            AbortReason::Cancelled | AbortReason::Stopped | AbortReason::Stale => {
                self.failure(FailureKind::Cancelled, format!("{} was stopped", self.doing))
            }
        }
    }

    /// No worker could be had.
    pub fn no_worker(&self, reason: String) -> Failure {
        let mut failure = self.failure(FailureKind::Spawn, format!("no worker could be started for {}", self.doing));
        failure.causes.push(reason);
        failure.hints.push("the daemon's log says more; `ctl plugins` tells whether a plugin was refused".to_owned());
        failure
    }

    /// The daemon has no room for another file.
    pub fn too_many_files(&self, problem: String) -> Failure {
        let mut failure = self.failure(FailureKind::Budget, problem);
        failure.hints.push("raise the daemon's limit on open files (LimitNOFILE= in the unit, ulimit -n)".to_owned());
        failure
    }

    /// The worker did what none of ours does.
    pub fn protocol(&self, reason: impl Into<String>) -> Failure {
        let mut failure = self.failure(
            FailureKind::Protocol,
            format!("the worker broke the protocol while {} and was ended", self.doing),
        );
        failure.causes.push(reason.into());
        failure.hints.push(format!(
            "code of the plugin {} may have overwritten memory that is not its own, or written to an output after it was handed in",
            self.plugin
        ));
        failure
    }

    /// The worker's process ended in the middle.
    pub fn died(&self, end: &ProcessEnd, last_lines: &[String], memory_max_bytes: u64) -> Failure {
        let mut failure = match end {
            ProcessEnd::Ended { ending: Ending::Exited(code), .. } => {
                let mut failure = self.failure(
                    FailureKind::Exit { code: *code },
                    format!("the worker exited with code {code} while {}", self.doing),
                );
                failure.hints.push(
                    "code of the plugin, or a library it uses, called exit(): return an error instead".to_owned(),
                );
                failure
            }
            ProcessEnd::Ended { ending: Ending::Signalled { signal, core }, max_rss_bytes } => {
                if is_out_of_memory(*signal, last_lines) {
                    let mut failure = self.failure(
                        FailureKind::MemoryLimit,
                        format!(
                            "the worker needed more memory than its limit of {} while {}",
                            in_words(memory_max_bytes),
                            self.doing
                        ),
                    );
                    failure.hints.push(
                        "raise [workers] memory_max_bytes, or have the node work in smaller pieces; datasets in shared memory do \
                         not count against this limit"
                            .to_owned(),
                    );
                    failure
                } else {
                    let mut failure = self.failure(
                        FailureKind::Signal { number: *signal },
                        format!("the worker was killed by {} while {}", signal_name(*signal), self.doing),
                    );
                    if *core {
                        failure.causes.push("a core file was written".to_owned());
                    }
                    failure.hints.push(match has_overflowed_stack(*signal, last_lines) {
                        true => "it recursed too deeply: make the recursion a loop, or run that part on a thread with a larger stack".to_owned(),
                        false => signal_hint(*signal, &self.plugin, *max_rss_bytes),
                    });
                    failure
                }
            }
            ProcessEnd::WithZygote(reason) => {
                let mut failure = self.failure(
                    FailureKind::Signal { number: 9 },
                    format!("the worker ended with its plugin process while {}", self.doing),
                );
                failure.causes.push(reason.clone());
                failure.hints.push(
                    "the plugin process was started again; submit the run again, or give the node retries".to_owned(),
                );
                failure
            }
            ProcessEnd::Unknown => {
                let mut failure = self.failure(
                    FailureKind::Protocol,
                    format!("the worker closed its channel while {}, and nobody could say how it ended", self.doing),
                );
                failure.hints.push("its zygote may have ended with it; submit the run again".to_owned());
                failure
            }
        };
        if !last_lines.is_empty() {
            failure.causes.push(format!("it printed last:\n{}", last_lines.join("\n")));
        }
        failure
    }
}

/// Rust's allocator says so before it aborts; the limit itself leaves no other trace.
fn is_out_of_memory(signal: i32, last_lines: &[String]) -> bool {
    signal == nix::libc::SIGABRT && last_lines.iter().any(|line| line.contains("memory allocation of"))
}

/// Rust's guard page handler says so before it aborts.
fn has_overflowed_stack(signal: i32, last_lines: &[String]) -> bool {
    signal == nix::libc::SIGABRT && last_lines.iter().any(|line| line.contains("has overflowed its stack"))
}

fn signal_hint(signal: i32, plugin: &str, max_rss_bytes: u64) -> String {
    match signal {
        nix::libc::SIGSEGV | nix::libc::SIGBUS | nix::libc::SIGILL => format!(
            "unsafe code in the plugin {plugin}, or in a library it uses, went wrong (or the stack overflowed); run the node in a test \
             with plugin_api::testing under a debugger"
        ),
        nix::libc::SIGABRT => {
            format!(
                "code of the plugin {plugin} aborted: a panic while panicking, a failed assertion in C, or abort() itself"
            )
        }
        nix::libc::SIGKILL => format!(
            "something outside killed it; it had {} resident: if that was the kernel for lack of memory, lower [workers] count",
            in_words(max_rss_bytes)
        ),
        _ => format!("look for what sends this signal: code of the plugin {plugin}, or something outside"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject { doing: "running node \"a\" (p::f)".to_owned(), plugin: "p".to_owned(), worker: 1 }
    }

    fn signalled(signal: i32) -> ProcessEnd {
        ProcessEnd::Ended { ending: Ending::Signalled { signal, core: false }, max_rss_bytes: 5 << 20 }
    }

    #[test]
    fn every_end_has_its_kind_and_names_the_node() {
        let lines = ["memory allocation of 8 bytes failed".to_owned()];
        let cases = [
            (signalled(11), &[][..], FailureKind::Signal { number: 11 }),
            (signalled(6), &lines[..], FailureKind::MemoryLimit),
            (signalled(6), &[][..], FailureKind::Signal { number: 6 }),
            (ProcessEnd::Ended { ending: Ending::Exited(0), max_rss_bytes: 0 }, &[][..], FailureKind::Exit { code: 0 }),
        ];
        for (end, lines, kind) in cases {
            let failure = subject().died(&end, lines, 1 << 30);
            assert_eq!(failure.kind, kind);
            assert!(failure.message.contains("node \"a\""), "{failure}");
            assert!(!failure.hints.is_empty());
            assert_eq!((failure.plugin.as_str(), failure.worker), ("p", Some(1)));
        }
    }
}
