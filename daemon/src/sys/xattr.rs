//! Extended attributes of files.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

/// The value of an attribute, at most 64 bytes; an error if there is none.
pub fn get(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = [0_u8; 64];
    // SAFETY: both strings end in NUL and live until the call returns; the buffer is ours, of the length that is given.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let length = usize::try_from(Errno::result(length)?).unwrap_or(0);
    Ok(value[..length.min(value.len())].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(get(Path::new("/"), c"user.no-such-attribute").is_err());
        assert!(get(Path::new("/no/such/file"), c"user.x").is_err());
    }
}
