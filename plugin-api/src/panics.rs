//! Panics of an author's code: caught at the boundary, with the place that the panic hook saw.
//!
//! Each library has its own copy of the standard library, hence its own hook, installed by `initialise`. It notes message and
//! place for the boundary to pick up. A panic on a thread of the node's own is logged as well, as nobody may
//! ever wait for it; a pool that carries it over to the calling thread (as rayon does) is why the last panic of any thread
//! is kept too.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    sync::{Mutex, Once, PoisonError},
};

use crate::abi::{Failure, failure_kind};

#[derive(Clone)]
struct Noted {
    message: String,
    place: String,
}

thread_local! {
    static NOTED: RefCell<Option<Noted>> = const { RefCell::new(None) };
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
}

static LAST_ANYWHERE: Mutex<Option<Noted>> = Mutex::new(None);

/// Installs the hook, once. `quiet` leaves out the usual report on stderr: the host reports the failure.
pub(crate) fn install(quiet: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            note(info);
            if !quiet {
                before(info);
            }
        }));
    });
}

fn note(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column())).unwrap_or_default();
    let noted = Noted { message: message(info.payload()), place };
    *LAST_ANYWHERE.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted.clone());
    if !IN_CALL.get() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a thread of the plugin");
        log::error!("{name} panicked at {}: {}", noted.place, noted.message);
    }
    NOTED.set(Some(noted));
}

/// Runs `body`; a panic becomes a failure with message and place.
pub(crate) fn catch<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    NOTED.set(None);
    let outer = IN_CALL.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    IN_CALL.set(outer);
    result.unwrap_or_else(|payload| Err(failure(payload)))
}

fn failure(payload: Box<dyn Any + Send>) -> Failure {
    let message = message(&*payload);
    // Dropping a payload of an unknown type runs unknown code, which could panic again: leak it instead.
    std::mem::forget(payload);
    let here = NOTED.take();
    let anywhere = || LAST_ANYWHERE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let place = here
        .filter(|noted| noted.message == message)
        .or_else(|| anywhere().filter(|noted| noted.message == message))
        .map(|noted| noted.place)
        .unwrap_or_default();
    Failure::new(failure_kind::PANIC, message).at(place)
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
