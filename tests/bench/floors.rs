//! What the machine itself takes: a process, a word passed to another process and back, memory. Nothing of dagd runs here.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::figure::Table;

/// Name of the floor: a round trip between two processes that both look all the time.
pub const SPIN: &str = "S";
/// Name of the floor: a round trip between two processes that both sleep in between.
pub const WAKE: &str = "W";
/// Name of the floor: writing 1 GiB of memory that was never touched.
pub const FRESH: &str = "F";
/// Name of the floor: writing 1 GiB of memory that is there.
pub const REUSED: &str = "R";
/// Name of the floor: a process that does nothing.
pub const PROCESS: &str = "fork";

const PROCESSES: usize = 100;
const ROUNDS: u32 = 2_000;
const REPETITIONS: usize = 7;
const FILL_BYTES: usize = 1 << 30;

/// Measures the floors. To be called while this process has one thread.
pub fn measure(table: &mut Table, is_quick: bool) {
    let processes: Vec<Duration> = (0..PROCESSES).map(|_| time(|| wait(child(|| ())))).collect();
    table.add_times(PROCESS, 1, &processes, "fork, exit, wait");
    table.add_times(SPIN, 1, &ping_pongs(false), "round trip in shared memory, two processors, both awake");
    table.add_times(WAKE, 1, &ping_pongs(true), "the same, each sleeps on a futex in between");
    let bytes = if is_quick { FILL_BYTES / 4 } else { FILL_BYTES };
    let scale = (FILL_BYTES / bytes) as u32;
    let (fresh, reused): (Vec<_>, Vec<_>) = (0..5).map(|_| fills(bytes)).map(|(f, r)| (f * scale, r * scale)).unzip();
    table.add_times(FRESH, 1, &fresh, "1 GiB of fresh anonymous memory written");
    table.add_times(REUSED, 1, &reused, "the same memory written again");
}

fn time(step: impl FnOnce()) -> Duration {
    let start = Instant::now();
    step();
    start.elapsed()
}

/// Two words in memory that a fork shares.
struct Words(NonNull<[AtomicU32; 2]>);

impl Words {
    fn new() -> Words {
        let length = NonZeroUsize::new(4096).unwrap();
        // SAFETY: a new anonymous mapping; nothing else is at its addresses.
        let memory =
            unsafe { mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) };
        Words(memory.unwrap().cast())
    }

    fn get(&self) -> &[AtomicU32; 2] {
        // SAFETY: the mapping is page-aligned, zero, larger than this, and never unmapped; all access is atomic.
        unsafe { self.0.as_ref() }
    }
}

fn ping_pongs(sleeps: bool) -> Vec<Duration> {
    (0..REPETITIONS).map(|_| ping_pong(sleeps)).collect()
}

/// One round trip, averaged over many.
fn ping_pong(sleeps: bool) -> Duration {
    let words = Words::new();
    let turn = |word: usize, round: u32| {
        let word = &words.get()[word];
        loop {
            let now = word.load(Ordering::Acquire);
            if now == round {
                return;
            }
            if sleeps {
                futex(word, libc::FUTEX_WAIT, now);
            } else {
                std::hint::spin_loop();
            }
        }
    };
    let pass = |word: usize, round: u32| {
        let word = &words.get()[word];
        word.store(round, Ordering::Release);
        if sleeps {
            futex(word, libc::FUTEX_WAKE, 1);
        }
    };
    let echo = child(|| {
        pin(1);
        for round in 1..=ROUNDS {
            turn(0, round);
            pass(1, round);
        }
    });
    pin(0);
    let taken = time(|| {
        for round in 1..=ROUNDS {
            pass(0, round);
            turn(1, round);
        }
    });
    wait(echo);
    unpin();
    taken / ROUNDS
}

fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // SAFETY: the word is a live aligned 32-bit integer; no time-out is given; errors mean "look again".
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, std::ptr::null::<libc::timespec>()) };
}

fn pin(processor: usize) {
    let mut set = CpuSet::new();
    if set.set(processor).is_ok() {
        // On a machine of one processor both share it.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

fn unpin() {
    let mut all = CpuSet::new();
    (0..CpuSet::count()).for_each(|processor| all.set(processor).unwrap());
    let _ = sched_setaffinity(Pid::from_raw(0), &all);
}

/// Writing memory for the first time, and again.
fn fills(bytes: usize) -> (Duration, Duration) {
    let length = NonZeroUsize::new(bytes).unwrap();
    // SAFETY: a new private mapping; nothing else is at its addresses.
    let memory =
        unsafe { mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE) };
    let memory = memory.unwrap();
    // SAFETY: the mapping is `bytes` long, zero, and reached only through this slice until it is unmapped.
    let slice = unsafe { std::slice::from_raw_parts_mut(memory.cast::<u8>().as_ptr(), bytes) };
    let fresh = time(|| black_box(&mut *slice).fill(1));
    let reused = time(|| black_box(&mut *slice).fill(2));
    // SAFETY: the slice is not used any more.
    unsafe { munmap(memory, bytes) }.unwrap();
    (fresh, reused)
}

/// Forks; the child does its work and is gone.
fn child(work: impl FnOnce()) -> Pid {
    // SAFETY: this process has one thread (`main` measures the floors first), so the child may do anything; it ends by
    // `_exit` and so runs nothing that the parent registered.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            work();
            // SAFETY: `_exit` has no condition.
            unsafe { libc::_exit(0) }
        }
    }
}

fn wait(child: Pid) {
    waitpid(child, None).unwrap();
}
