//! What a library may ask of the process that loaded it, call or no call.

use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::{StableAbi, prefix_type::WithMetadata, staticref, std_types::RStr};

/// The services of the process that loads plugins. All functions are called from any thread.
pub trait HostServices: 'static {
    /// Takes one log record of a plugin.
    fn log(level: log::Level, target: &str, message: &str);
    /// The most verbose level that is wanted.
    fn log_level_max() -> log::LevelFilter;
}

/// The functions behind a [`Host`].
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostFunctionsRef)))]
pub(super) struct HostFunctions {
    /// 1 is error, 5 is trace.
    log: extern "C" fn(level: u8, target: RStr<'_>, message: RStr<'_>),
    #[sabi(last_prefix_field)]
    log_level_max: extern "C" fn() -> u8,
}

/// The process that loaded the library, as it travels to the plugin.
///
/// ```
/// use plugin_api::abi::{Host, HostServices};
///
/// struct Terminal;
/// impl HostServices for Terminal {
///     fn log(level: log::Level, target: &str, message: &str) {
///         eprintln!("{level} {target}: {message}");
///     }
///     fn log_level_max() -> log::LevelFilter {
///         log::LevelFilter::Info
///     }
/// }
/// let host = Host::new::<Terminal>();
/// assert_eq!(host.log_level_max(), log::LevelFilter::Info);
/// ```
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Host {
    functions: HostFunctionsRef,
}

impl Host {
    /// A host with these services.
    pub fn new<H: HostServices>() -> Self {
        Host { functions: HostFunctionsRef(Thunks::<H>::TABLE.as_prefix()) }
    }

    /// See [`HostServices::log`].
    pub fn log(&self, level: log::Level, target: &str, message: &str) {
        self.functions.log()(level as u8, target.into(), message.into());
    }

    /// See [`HostServices::log_level_max`].
    pub fn log_level_max(&self) -> log::LevelFilter {
        match self.functions.log_level_max()() {
            0 => log::LevelFilter::Off,
            1 => log::LevelFilter::Error,
            2 => log::LevelFilter::Warn,
            3 => log::LevelFilter::Info,
            4 => log::LevelFilter::Debug,
            _ => log::LevelFilter::Trace,
        }
    }
}

struct Thunks<H>(std::marker::PhantomData<H>);

impl<H: HostServices> Thunks<H> {
    staticref! {
        const TABLE: WithMetadata<HostFunctions> =
            WithMetadata::new(HostFunctions { log: Self::log, log_level_max: Self::log_level_max });
    }

    extern "C" fn log(level: u8, target: RStr<'_>, message: RStr<'_>) {
        let level = match level {
            0 | 1 => log::Level::Error,
            2 => log::Level::Warn,
            3 => log::Level::Info,
            4 => log::Level::Debug,
            _ => log::Level::Trace,
        };
        drop(catch_unwind(AssertUnwindSafe(|| H::log(level, target.as_str(), message.as_str()))));
    }

    extern "C" fn log_level_max() -> u8 {
        catch_unwind(H::log_level_max).map_or(0, |level| level as u8)
    }
}
