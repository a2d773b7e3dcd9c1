//! What of the configuration can change while the daemon runs.

use super::Config;

impl Config {
    /// Takes over from `old` what holds as long as the daemon runs; gives the sections in which that differed.
    ///
    /// Plugins, workers, hooks and the log's level are a matter of a generation and change with it. The socket, the store, the
    /// budget of blocks and what is kept of runs are taken up once.
    pub fn keep_what_cannot_change(&mut self, old: &Config) -> Vec<&'static str> {
        let mut differing = Vec::new();
        if self.server != old.server {
            differing.push("[server]");
            self.server.clone_from(&old.server);
        }
        if self.runs != old.runs {
            differing.push("[runs]");
            self.runs.clone_from(&old.runs);
        }
        if self.blocks != old.blocks {
            differing.push("[blocks]");
            self.blocks.clone_from(&old.blocks);
        }
        self.private = old.private;
        self.managed_socket = old.managed_socket;
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_up_once_stays_and_is_named() {
        let old = Config::default();
        let mut new = Config::default();
        new.workers.count = 7;
        new.runs.keep_count = 1;
        new.blocks.memory_budget_bytes = 1;
        assert_eq!(new.keep_what_cannot_change(&old), ["[runs]", "[blocks]"]);
        assert_eq!(new.workers.count, 7);
        assert_eq!(new.runs, old.runs);
        assert!(Config::default().keep_what_cannot_change(&old).is_empty());
    }
}
