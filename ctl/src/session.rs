//! The daemon a command talks to: the service that is there, or a private one that ends with the command.

use std::path::{Path, PathBuf};

use protocol::{PluginList, path};

use crate::args::{DaemonArgs, PrivateArgs};
use crate::client::Client;
use crate::client::address::Addresses;
use crate::error::Error;
use crate::private::PrivateDaemon;
use crate::screen::Screen;

/// A daemon to talk to.
#[derive(Debug)]
pub struct Session {
    /// How to reach it.
    pub client: Client,
    private: Option<PrivateDaemon>,
    /// Where the private daemon was told to look for plugins.
    plugin_folders: Vec<PathBuf>,
}

impl Session {
    /// The service.
    pub fn of_service(socket: Option<&Path>) -> Session {
        Session { client: Client::new(Addresses::find(socket)), private: None, plugin_folders: Vec::new() }
    }

    /// A private daemon.
    pub fn of_private(options: &PrivateArgs) -> Result<Session, Error> {
        let daemon = PrivateDaemon::start(options)?;
        let plugin_folders = options.plugins.clone();
        Ok(Session { client: Client::new(daemon.addresses()), private: Some(daemon), plugin_folders })
    }

    /// Whichever the arguments ask for.
    pub fn open(socket: Option<&Path>, daemon: &DaemonArgs) -> Result<Session, Error> {
        if daemon.wants_private() { Session::of_private(&daemon.options) } else { Ok(Session::of_service(socket)) }
    }

    /// Ends a private daemon. An error that came from its death is told with what it said last.
    pub async fn close<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        let outcome = match (outcome, &mut self.private) {
            (Err(error), Some(daemon)) => Err(daemon.explain(error).await),
            (outcome, _) => outcome,
        };
        if let Some(daemon) = self.private {
            daemon.stop().await;
        }
        outcome
    }

    /// Ends a private daemon without waiting for what it does.
    pub async fn abandon(&mut self) {
        if let Some(daemon) = &mut self.private {
            daemon.kill().await;
        }
    }

    /// Says which libraries a private daemon has set aside, and where it found none: nobody else would tell.
    pub async fn warn_of_refused_plugins(&self, screen: &mut Screen) -> Result<(), Error> {
        let plugins: PluginList = self.client.get(path::PLUGINS).await?;
        for folder in self.plugin_folders.iter().filter(|folder| !holds_libraries(folder)) {
            let folder = folder.display();
            screen.warn(&format!(
                "there is no library lib*.so in the plugin folder {folder}\n  help: `cargo build --release` puts one of a \"cdylib\" crate into target/release, `cargo build` into target/debug"
            ));
        }
        for refused in &plugins.refused {
            screen.warn(&crate::render::listing::refused(refused, screen.err_paint));
        }
        for warning in &plugins.warnings {
            screen.warn(&crate::render::paint::harmless(warning));
        }
        Ok(())
    }
}

/// Whether a folder has files that plugins may be in.
fn holds_libraries(folder: &Path) -> bool {
    let is_library = |name: &str| name.starts_with("lib") && name.ends_with(".so");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_library(&name))
}
