//! What a call may ask of its host: the safe trait for the host, the handle for the plugin, and the thunks between.

use std::{
    ffi::c_void,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use abi_stable::{
    StableAbi,
    prefix_type::WithMetadata,
    staticref,
    std_types::{ROption, RResult, RStr},
};

use super::{Failure, InputBlock, OutputBuffer, failure_kind};

/// What the host of a call does for it. Implemented by the daemon's worker and hook host, and in plain memory by
/// [`testing`](crate::testing).
///
/// `Sync`, because a node may use threads of its own. A panic in any of these becomes a failure of the call.
pub trait CallHost: Sync {
    /// The call's argument, a JSON object (see [`argument`](crate::argument)).
    fn argument(&self) -> &str;
    /// The block bound to an input port; `None` if nothing is bound or the port does not exist.
    fn input(&self, port: u32) -> Result<Option<InputBlock>, Failure>;
    /// New memory for an output.
    fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure>;
    /// More memory for an output, keeping what is written; it may move. On failure the old buffer is gone.
    fn grow(&self, buffer: OutputBuffer, capacity: u64) -> Result<OutputBuffer, Failure>;
    /// Gives memory back that was not committed.
    fn discard(&self, id: u64);
    /// Makes the first `length` bytes of a buffer the output of its port. Nobody may write it any more.
    fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure>;
    /// How far the call has come; from any thread, often, cheap.
    fn progress(&self, done: u64, total: u64);
    /// Whether the call should stop; from any thread, often, cheap.
    fn is_cancelled(&self) -> bool;
    /// Saves what was committed to a port, one chunk of many, and frees the port for the next: for the ports that the argument
    /// names in `chunked`. A `name` makes it a partition of that name rather than the next chunk of one file.
    fn give_chunk(&self, port: u32, name: &str) -> Result<(), Failure> {
        Err(Failure::new(failure_kind::OUTPUT, format!("chunk `{name}` of port {port}: this host saves no chunks")))
    }
    /// Loads one partition of a dataset that an input port lists. From any thread; several at once.
    fn load_partition(&self, dataset: &str, name: &str) -> Result<InputBlock, Failure> {
        let message = format!("partition `{name}` of `{dataset}`: this host loads no partitions");
        Err(Failure::new(failure_kind::INPUT, message))
    }
}

type State = *const c_void;

/// The functions behind a [`Call`]; the state is a pointer to the host.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = CallFunctionsRef)))]
pub(super) struct CallFunctions {
    argument: unsafe extern "C" fn(state: State) -> RStr<'static>,
    input: unsafe extern "C" fn(state: State, port: u32) -> RResult<ROption<InputBlock>, Failure>,
    allocate: unsafe extern "C" fn(state: State, port: u32, capacity: u64) -> RResult<OutputBuffer, Failure>,
    grow: unsafe extern "C" fn(state: State, buffer: OutputBuffer, capacity: u64) -> RResult<OutputBuffer, Failure>,
    discard: unsafe extern "C" fn(state: State, id: u64),
    commit: unsafe extern "C" fn(
        state: State,
        id: u64,
        length: u64,
        format: RStr<'_>,
        metadata: RStr<'_>,
    ) -> RResult<(), Failure>,
    progress: unsafe extern "C" fn(state: State, done: u64, total: u64),
    #[sabi(last_prefix_field)]
    is_cancelled: unsafe extern "C" fn(state: State) -> bool,
    // Since 1.1. Hosts of 1.0 do not have what follows.
    give_chunk: unsafe extern "C" fn(state: State, port: u32, name: RStr<'_>) -> RResult<(), Failure>,
    load_partition:
        unsafe extern "C" fn(state: State, dataset: RStr<'_>, name: RStr<'_>) -> RResult<InputBlock, Failure>,
}

/// What a call may ask of its host, as it travels to the plugin.
///
/// ```
/// # use plugin_api::abi::Call;
/// # fn host() -> plugin_api::testing::MemoryHost { plugin_api::testing::MemoryHost::new("{}") }
/// let host = host(); // anything that implements `CallHost`
/// let call = Call::new(&host);
/// assert_eq!(call.argument(), "{}");
/// ```
#[repr(C)]
#[derive(StableAbi)]
pub struct Call<'a> {
    state: State,
    functions: CallFunctionsRef,
    host: PhantomData<&'a ()>,
}

// SAFETY: the state is a `&'a H` with `H: CallHost`, which is `Sync`, and is used only through that trait's functions.
unsafe impl Send for Call<'_> {}
// SAFETY: see `Send`.
unsafe impl Sync for Call<'_> {}

impl<'a> Call<'a> {
    /// A call whose questions `host` answers.
    pub fn new<H: CallHost>(host: &'a H) -> Self {
        Call {
            state: std::ptr::from_ref(host).cast(),
            functions: CallFunctionsRef(Thunks::<H>::TABLE.as_prefix()),
            host: PhantomData,
        }
    }

    /// See [`CallHost::argument`].
    pub fn argument(&self) -> &str {
        // SAFETY: `state` is the `&H` that the table was made for; the answer borrows from it, and `&self` is shorter.
        unsafe { self.functions.argument()(self.state) }.as_str()
    }

    /// See [`CallHost::input`].
    pub fn input(&self, port: u32) -> Result<Option<InputBlock>, Failure> {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.input()(self.state, port) }.into_result().map(ROption::into_option)
    }

    /// See [`CallHost::allocate`]. Crate-private, because the buffer's memory is gone when the call ends.
    pub(crate) fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.allocate()(self.state, port, capacity) }.into_result()
    }

    /// See [`CallHost::grow`].
    pub(crate) fn grow(&self, buffer: OutputBuffer, capacity: u64) -> Result<OutputBuffer, Failure> {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.grow()(self.state, buffer, capacity) }.into_result()
    }

    /// See [`CallHost::discard`].
    pub(crate) fn discard(&self, buffer: OutputBuffer) {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.discard()(self.state, buffer.id()) }
    }

    /// See [`CallHost::commit`].
    pub(crate) fn commit(
        &self,
        buffer: OutputBuffer,
        length: u64,
        format: &str,
        metadata: &str,
    ) -> Result<(), Failure> {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.commit()(self.state, buffer.id(), length, format.into(), metadata.into()) }
            .into_result()
    }

    /// See [`CallHost::progress`].
    pub fn progress(&self, done: u64, total: u64) {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.progress()(self.state, done, total) }
    }

    /// See [`CallHost::is_cancelled`].
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { self.functions.is_cancelled()(self.state) }
    }

    /// See [`CallHost::give_chunk`].
    pub(crate) fn give_chunk(&self, port: u32, name: &str) -> Result<(), Failure> {
        let Some(give_chunk) = self.functions.give_chunk() else {
            return Err(Failure::new(failure_kind::OUTPUT, "this daemon is older than the plugin and saves no chunks"));
        };
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { give_chunk(self.state, port, name.into()) }.into_result()
    }

    /// See [`CallHost::load_partition`].
    pub(crate) fn load_partition(&self, dataset: &str, name: &str) -> Result<InputBlock, Failure> {
        let Some(load_partition) = self.functions.load_partition() else {
            let message = "this daemon is older than the plugin and loads no partitions";
            return Err(Failure::new(failure_kind::INPUT, message));
        };
        // SAFETY: `state` is the `&H` that the table was made for.
        unsafe { load_partition(self.state, dataset.into(), name.into()) }.into_result()
    }

    /// Wraps the call without its lifetime and lends the wrapper, so that types over a call (`Context`, `LoadRequest`)
    /// need no lifetime parameter in an author's signature.
    ///
    /// `wrap` must only store the call in the wrapper, and the wrapper must not give it away: it is not `Clone`, and none
    /// of its functions returns anything of the longer lifetime. The wrapper dies before this function returns, so
    /// nothing outlives the host.
    pub(crate) fn scope<W, R>(self, wrap: impl FnOnce(Call<'static>) -> W, body: impl FnOnce(&W) -> R) -> R {
        let wrapper = wrap(Call { state: self.state, functions: self.functions, host: PhantomData });
        body(&wrapper)
    }
}

/// The functions of one kind of host. Each turns a panic of the host into a failure or a harmless answer.
struct Thunks<H>(PhantomData<H>);

impl<H: CallHost> Thunks<H> {
    staticref! {
        const TABLE: WithMetadata<CallFunctions> = WithMetadata::new(CallFunctions {
            argument: Self::argument,
            input: Self::input,
            allocate: Self::allocate,
            grow: Self::grow,
            discard: Self::discard,
            commit: Self::commit,
            progress: Self::progress,
            is_cancelled: Self::is_cancelled,
            give_chunk: Self::give_chunk,
            load_partition: Self::load_partition,
        });
    }

    /// # Safety
    /// `state` is a `&H` that outlives the use of the answer. (So for all thunks below.)
    unsafe fn host<'a>(state: State) -> &'a H {
        // SAFETY: by this function's contract.
        unsafe { &*state.cast::<H>() }
    }

    unsafe extern "C" fn argument(state: State) -> RStr<'static> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        let argument = catch_unwind(AssertUnwindSafe(|| host.argument())).unwrap_or("");
        // SAFETY: pointer and length of a `str` of the host; `Call::argument` gives the answer its true lifetime back.
        unsafe { RStr::from_raw_parts(argument.as_ptr(), argument.len()) }
    }

    unsafe extern "C" fn input(state: State, port: u32) -> RResult<ROption<InputBlock>, Failure> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        answer("input", || host.input(port).map(ROption::from))
    }

    unsafe extern "C" fn allocate(state: State, port: u32, capacity: u64) -> RResult<OutputBuffer, Failure> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        answer("allocate", || host.allocate(port, capacity))
    }

    unsafe extern "C" fn grow(state: State, buffer: OutputBuffer, capacity: u64) -> RResult<OutputBuffer, Failure> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        answer("grow", || host.grow(buffer, capacity))
    }

    unsafe extern "C" fn discard(state: State, id: u64) {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        drop(catch_unwind(AssertUnwindSafe(|| host.discard(id))));
    }

    unsafe extern "C" fn commit(
        state: State,
        id: u64,
        length: u64,
        format: RStr<'_>,
        metadata: RStr<'_>,
    ) -> RResult<(), Failure> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        answer("commit", || host.commit(id, length, format.as_str(), metadata.as_str()))
    }

    unsafe extern "C" fn progress(state: State, done: u64, total: u64) {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        drop(catch_unwind(AssertUnwindSafe(|| host.progress(done, total))));
    }

    unsafe extern "C" fn is_cancelled(state: State) -> bool {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        catch_unwind(AssertUnwindSafe(|| host.is_cancelled())).unwrap_or(false)
    }

    unsafe extern "C" fn give_chunk(state: State, port: u32, name: RStr<'_>) -> RResult<(), Failure> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        answer("give_chunk", || host.give_chunk(port, name.as_str()))
    }

    unsafe extern "C" fn load_partition(
        state: State,
        dataset: RStr<'_>,
        name: RStr<'_>,
    ) -> RResult<InputBlock, Failure> {
        // SAFETY: by the contract of the thunks.
        let host = unsafe { Self::host(state) };
        answer("load_partition", || host.load_partition(dataset.as_str(), name.as_str()))
    }
}

/// The host's answer, with a panic of the host as a failure that says so.
fn answer<T>(what: &str, body: impl FnOnce() -> Result<T, Failure>) -> RResult<T, Failure> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(Failure::new(failure_kind::PANIC, format!("the host panicked in `{what}`"))))
        .into()
}
