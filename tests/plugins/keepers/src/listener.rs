//! A hook that writes what it hears of catalogs into a file, as JSON.

use std::path::PathBuf;

use plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    file: PathBuf,
}

/// Hears what a run's catalog is.
pub struct Listener(PathBuf);

/// Writes down what it hears of catalogs.
#[hook]
impl Hook for Listener {
    fn new(options: HookOptions) -> Result<Self> {
        let options: Options = options.parse()?;
        Ok(Listener(options.file))
    }

    fn after_catalog_created(&mut self, event: &AfterCatalogCreated) -> Result<()> {
        Ok(std::fs::write(&self.0, plugin_api::serde_json::to_string(event)?)?)
    }
}
