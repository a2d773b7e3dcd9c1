//! A shared library that exports something, but no plugin.

#![allow(unsafe_code, reason = "an export has a fixed name")]

/// What this library exports instead.
#[unsafe(no_mangle)]
pub extern "C" fn something_else() -> i32 {
    1
}
