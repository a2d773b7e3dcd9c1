//! Where the daemon's socket is.
//!
//! A path, or `@name` for Linux's abstract namespace (no file; what private daemons use). Client and daemon look in the
//! same places: an explicit address, `$DAGD_SOCKET`, then for the service `$RUNTIME_DIRECTORY/dagd.sock`, and for a user
//! `$XDG_RUNTIME_DIR/dagd/dagd.sock`. A client tries, last, the system's `/run/dagd/dagd.sock`.

use std::path::{Path, PathBuf};

/// Environment variable that names the socket, for client and daemon.
pub const VARIABLE: &str = "DAGD_SOCKET";

/// Name of the socket's file.
pub const FILE_NAME: &str = "dagd.sock";

/// Where the system's service listens.
pub const SYSTEM_PATH: &str = "/run/dagd/dagd.sock";

/// The environment, as far as it decides where the socket is; separate so that tests need not change the process.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `$DAGD_SOCKET`.
    pub socket: Option<String>,
    /// `$RUNTIME_DIRECTORY`, set by systemd for the service; the first of a colon-separated list counts.
    pub runtime_directory: Option<String>,
    /// `$XDG_RUNTIME_DIR`, set at login.
    pub user_runtime_directory: Option<String>,
}

impl Environment {
    /// Reads the process's environment; empty values count as unset.
    pub fn of_process() -> Environment {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Environment {
            socket: variable(VARIABLE),
            runtime_directory: variable("RUNTIME_DIRECTORY"),
            user_runtime_directory: variable("XDG_RUNTIME_DIR"),
        }
    }

    /// Where a daemon should listen when neither its command line nor its configuration says; none if nothing is set.
    pub fn listen_path(&self) -> Option<PathBuf> {
        if let Some(socket) = &self.socket {
            return Some(PathBuf::from(socket));
        }
        if let Some(directories) = &self.runtime_directory {
            let first = directories.split(':').next().unwrap_or_default();
            return Some(Path::new(first).join(FILE_NAME));
        }
        self.user_runtime_directory.as_deref().map(user_path)
    }

    /// Where a client should look, in order.
    pub fn connect_paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        if let Some(socket) = &self.socket {
            paths.push(PathBuf::from(socket));
            return paths;
        }
        paths.extend(self.user_runtime_directory.as_deref().map(user_path));
        paths.push(PathBuf::from(SYSTEM_PATH));
        paths
    }
}

fn user_path(directory: &str) -> PathBuf {
    Path::new(directory).join("dagd").join(FILE_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(socket: &str, runtime: &str, user: &str) -> Environment {
        let set = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        Environment { socket: set(socket), runtime_directory: set(runtime), user_runtime_directory: set(user) }
    }

    #[test]
    fn the_daemon_prefers_what_is_said_outright() {
        let listen = |environment: Environment| environment.listen_path().map(|path| path.display().to_string());
        assert_eq!(listen(environment("/a.sock", "/run/dagd", "/run/user/1")).as_deref(), Some("/a.sock"));
        assert_eq!(listen(environment("", "/run/dagd:/run/b", "/run/user/1")).as_deref(), Some("/run/dagd/dagd.sock"));
        assert_eq!(listen(environment("", "", "/run/user/1")).as_deref(), Some("/run/user/1/dagd/dagd.sock"));
        assert_eq!(listen(environment("", "", "")), None);
    }

    #[test]
    fn a_client_finds_the_system_daemon_last() {
        let paths = environment("", "", "/run/user/1").connect_paths();
        assert_eq!(paths, [Path::new("/run/user/1/dagd/dagd.sock"), Path::new(SYSTEM_PATH)]);
        assert_eq!(environment("/a.sock", "", "/run/user/1").connect_paths(), [Path::new("/a.sock")]);
    }
}
