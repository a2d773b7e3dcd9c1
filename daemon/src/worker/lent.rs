//! A file that the server lends for one load: opened like any other, known under its own name.
//!
//! The dataset type gets a path under which only this process can open it. People know it by the name it had where it came from, so in
//! whatever the type says about the path that name stands instead.

use std::os::fd::{AsFd as _, OwnedFd};

use plugin_api::abi::Failure;

use super::abi::PROTOCOL;
use crate::sys::memfd;

/// The file, while the load lasts.
pub(super) struct Lent {
    /// The call's argument, with the path to open.
    pub(super) argument: String,
    path: String,
    name: String,
    _file: OwnedFd,
}

impl Lent {
    /// Takes the file out of what came along.
    pub(super) fn take(descriptors: &mut Vec<OwnedFd>, number: u32, argument: &str) -> Result<Lent, Failure> {
        let number = number as usize;
        if number >= descriptors.len() {
            let message = format!("the task names the file {number}, {} came along", descriptors.len());
            return Err(Failure::new(PROTOCOL, message));
        }
        let file = descriptors.remove(number);
        let path = memfd::path(file.as_fd());
        let mut argument: serde_json::Value = serde_json::from_str(argument)
            .map_err(|problem| Failure::new(PROTOCOL, format!("the task's argument cannot be read: {problem}")))?;
        let name = argument["path"].as_str().unwrap_or_default().to_owned();
        argument["path"] = serde_json::Value::String(path.clone());
        Ok(Lent { argument: argument.to_string(), path, name, _file: file })
    }

    /// The failure with the file's name for the path.
    pub(super) fn named(&self, failure: Failure) -> Failure {
        let told = |text: &str| text.replace(&self.path, &self.name);
        let mut named = Failure::new(failure.kind.as_str(), told(failure.message.as_str()));
        named.place = failure.place;
        named.causes = failure.causes.iter().map(|cause| told(cause.as_str()).into()).collect();
        named.hint = told(failure.hint.as_str()).into();
        named
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_type_opens_the_file_and_people_read_its_name() {
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        let mut descriptors = vec![file];
        let lent = Lent::take(&mut descriptors, 0, r#"{"path":"companies.csv","run":"r"}"#).unwrap();
        assert!(descriptors.is_empty() && lent.argument.contains("/proc/self/fd/") && lent.argument.contains("\"r\""));
        std::fs::File::open(&lent.path).unwrap();
        let mut failure = Failure::new("error", format!("reading `{}`", lent.path));
        failure.causes.push(format!("{}: line 3", lent.path).into());
        let named = lent.named(failure);
        assert_eq!(named.message.as_str(), "reading `companies.csv`");
        assert_eq!(named.causes[0].as_str(), "companies.csv: line 3");
        assert!(Lent::take(&mut Vec::new(), 0, "{}").is_err());
    }
}
