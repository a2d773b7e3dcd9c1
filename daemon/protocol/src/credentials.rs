//! Secrets that a submission brings along: apart from everything else, so that nothing that shows or keeps a submission has
//! to pick them out.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SourceText;

/// Credentials files and the values of the environment variables that only they mention. Never kept, never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The files, later ones overlaying earlier ones: tables by the names that catalog entries give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<SourceText>,
    /// Values for `${env:NAME}` in these files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Credentials {
    /// Says whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.environment.is_empty()
    }
}

/// Body of `POST /v1/runs/{id}/resume`: what no daemon keeps of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResumeRequest {
    /// The credentials that its catalog needs, once more.
    #[serde(skip_serializing_if = "Credentials::is_empty")]
    pub credentials: Credentials,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.files.iter().map(|file| &*file.name).collect();
        f.debug_struct("Credentials").field("files", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let credentials = Credentials {
            files: vec![SourceText::new("credentials.toml", "[db]\npassword = \"hunter2\"")],
            environment: BTreeMap::from([("TOKEN".to_owned(), "hunter3".to_owned())]),
        };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("credentials.toml") && !shown.contains("hunter"), "{shown}");
    }
}
