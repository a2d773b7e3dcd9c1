//! A dataset type that needs credentials, and quotes them wherever a plugin can say something.

use plugin_api::dataset::{Dataset, DatasetRequest, LoadRequest, SaveRequest};
use plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    credentials: Secrets,
    /// Says so in an error instead of loading.
    #[serde(default)]
    refuses: bool,
}

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Secrets {
    password: String,
}

/// Gives its password in capitals; logs it, prints it, and puts it into its errors.
#[derive(Default)]
pub struct Vault;

impl Vault {
    fn open(request: &DatasetRequest) -> Result<Options> {
        let options: Options = request.options()?;
        let password = &options.credentials.password;
        log::info!("logging in with {password}");
        println!("printed {password:?}");
        if options.refuses {
            return Err(
                Error::new(format!("the password {password} was refused")).with_hint(format!("not {password}?"))
            );
        }
        Ok(options)
    }
}

impl Dataset for Vault {
    const NAME: &'static str = "vault";
    const LOADS: &'static [&'static str] = &["text"];
    const SAVES: &'static [&'static str] = &["text"];

    fn load(&self, request: &LoadRequest) -> Result<()> {
        let options = Vault::open(request)?;
        request.give(Text::from(options.credentials.password.to_uppercase()))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        Vault::open(request).map(drop)
    }

    fn exists(&self, request: &DatasetRequest) -> Result<bool> {
        Vault::open(request).map(|_| true)
    }
}
