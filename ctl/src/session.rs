//! The daemon a command talks to: the service that is there, or a private one that ends with the command.

use std::path::Path;

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
}

impl Session {
    /// The service.
    pub fn of_service(socket: Option<&Path>) -> Session {
        Session { client: Client::new(Addresses::find(socket)), private: None }
    }

    /// A private daemon.
    pub fn of_private(options: &PrivateArgs) -> Result<Session, Error> {
        let daemon = PrivateDaemon::start(options)?;
        Ok(Session { client: Client::new(daemon.addresses()), private: Some(daemon) })
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

    /// Says which libraries a private daemon has set aside: nobody else would tell.
    pub async fn warn_of_refused_plugins(&self, screen: &mut Screen) -> Result<(), Error> {
        let plugins: PluginList = self.client.get(path::PLUGINS).await?;
        for refused in &plugins.refused {
            screen.warn(&crate::render::listing::refused(refused, screen.err_paint));
        }
        for warning in &plugins.warnings {
            screen.warn(&crate::render::paint::harmless(warning));
        }
        Ok(())
    }
}
