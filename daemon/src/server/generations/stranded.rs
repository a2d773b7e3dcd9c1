//! Resident datasets that a new generation would strand: their type is not in it, so what is in memory could be used by no run and, once
//! it is gone, not be loaded again.
//!
//! Unlike a pipeline, data in memory is lost by what is lost: so it does not matter here whether the whole plugin was taken away.
#![forbid(unsafe_code)]

use engine::signature::Manifest;
use protocol::Problem;

use crate::server::residents::ResidentInfo;

/// One for each resident dataset whose type the plugins do not have.
pub fn problems(residents: &[ResidentInfo], plugins: &Manifest) -> Vec<Problem> {
    // Those that leave do so with their last reader, which has a generation of its own.
    let staying = residents.iter().filter(|resident| !resident.is_leaving);
    staying.filter(|resident| !has_type(plugins, &resident.key.dataset_type)).map(problem).collect()
}

fn has_type(plugins: &Manifest, dataset_type: &str) -> bool {
    let Some((plugin, name)) = dataset_type.split_once("::") else { return false };
    let plugin = plugins.plugins.iter().find(|candidate| candidate.name == plugin);
    plugin.is_some_and(|plugin| plugin.dataset_types.iter().any(|candidate| candidate.name == name))
}

fn problem(resident: &ResidentInfo) -> Problem {
    let names = resident.names.join(", ");
    let evict = resident.names.join(" ");
    Problem {
        code: "strands-dataset".to_owned(),
        message: format!(
            "the resident dataset {names} ({}) is of type {}, which these plugins no longer have",
            resident.key.path, resident.key.dataset_type
        ),
        place: None,
        causes: Vec::new(),
        hints: vec![format!(
            "`ctl datasets evict {evict}` lets go of it first; `ctl reload --force` takes the plugins all the same, and the data stays in \
             memory until it is evicted or its memory is needed"
        )],
    }
}

#[cfg(test)]
mod tests {
    use engine::signature::{DatasetTypeSignature, PluginSignature};

    use super::*;
    use crate::server::residents::{BlockFacts, Key};

    fn resident(name: &str, dataset_type: &str, is_leaving: bool) -> ResidentInfo {
        ResidentInfo {
            names: vec![name.to_owned()],
            key: Key {
                dataset_type: dataset_type.to_owned(),
                path: format!("/data/{name}"),
                options_json: String::new(),
                library: String::new(),
                credentials: 0,
            },
            block: BlockFacts { format: "text", bytes: 1 },
            readers: 0,
            loaded_us: 0,
            is_leaving,
        }
    }

    #[test]
    fn what_has_lost_its_type_is_named_and_what_is_leaving_is_not() {
        let csv = DatasetTypeSignature { name: "csv".to_owned(), ..DatasetTypeSignature::default() };
        let plugin =
            PluginSignature { name: "formats".to_owned(), dataset_types: vec![csv], ..PluginSignature::default() };
        let residents = [
            resident("flights", "formats::csv", false),
            resident("planes", "formats::parquet", false),
            resident("old_planes", "formats::parquet", true),
            resident("words", "faults::csv", false),
        ];
        let found = problems(&residents, &Manifest { plugins: vec![plugin] });
        let told: Vec<_> = found.iter().map(|problem| problem.message.split(' ').nth(3).unwrap_or_default()).collect();
        assert_eq!(told, ["planes", "words"]);
        assert!(found[0].hints[0].contains("`ctl datasets evict planes`"), "{found:#?}");
    }
}
