//! Which plugin node a `call` names, and which dataset type a `type` names.

use crate::problem::{Problem, did_you_mean, list, nearest};
use crate::signature::{DatasetTypeSignature, Manifest, NodeSignature, PluginSignature};

/// The plugin that most catalogs need, and its dataset types.
const FORMATS: &str = "formats";
const FORMATS_TYPES: &[&str] = &["csv", "parquet", "json", "ndjson", "text", "bytes", "arrow", "excel"];

/// Finds the node that `plugin::node` names.
///
/// # Errors
/// The problem: no such plugin, no such node, or not written as a call.
pub(super) fn find_node<'m>(manifest: &'m Manifest, call: &str) -> Result<(u32, u32, &'m NodeSignature), Problem> {
    let Some((plugin_name, node_name)) =
        call.split_once("::").filter(|(plugin, node)| !plugin.is_empty() && !node.is_empty())
    else {
        let nodes = all_nodes(manifest);
        let hint = nodes
            .iter()
            .find(|label| label.rsplit("::").next() == Some(call))
            .map(|label| format!("did you mean `{label}`?"));
        return Err(
            Problem::new("bad-call", format!("`{call}` is no call: it must be written `plugin::node`")).hint_if(hint)
        );
    };
    let Some((position, plugin)) = position(&manifest.plugins, |plugin| plugin.name == plugin_name) else {
        return Err(unknown_plugin(manifest, plugin_name));
    };
    let Some((node, signature)) = position_of_node(plugin, node_name) else {
        let message = format!("plugin `{plugin_name}` has no node `{node_name}`");
        let near = nearest(node_name, plugin.nodes.iter().map(|node| &*node.name));
        let elsewhere = manifest.plugins.iter().find(|other| position_of_node(other, node_name).is_some());
        let hint = match (near, elsewhere) {
            (Some(near), _) => format!("did you mean `{plugin_name}::{near}`?"),
            (None, Some(other)) => format!("did you mean `{}::{node_name}`?", other.name),
            (None, None) if plugin.nodes.is_empty() => "it has no nodes at all".to_owned(),
            (None, None) => format!("its nodes are {}", list(plugin.nodes.iter().take(20).map(|node| &*node.name))),
        };
        return Err(Problem::new("unknown-node", message).hint(hint));
    };
    Ok((position, node, signature))
}

/// Finds the dataset type that `csv` or `formats::csv` names; `Ok(None)` is shared memory.
///
/// # Errors
/// The problem: no such type, or several plugins have it.
pub(super) fn find_type<'m>(
    manifest: &'m Manifest,
    name: &str,
) -> Result<Option<(u32, u32, &'m PluginSignature, &'m DatasetTypeSignature)>, Problem> {
    if name == "memory" {
        return Ok(None);
    }
    let (wanted_plugin, wanted) = match name.split_once("::") {
        Some((plugin, name)) => (Some(plugin), name),
        None => (None, name),
    };
    let mut found = Vec::new();
    for (plugin_number, plugin) in (0u32..).zip(&manifest.plugins) {
        if wanted_plugin.is_some_and(|wanted| wanted != plugin.name) {
            continue;
        }
        for (number, dataset_type) in (0u32..).zip(&plugin.dataset_types) {
            if dataset_type.name == wanted {
                found.push((plugin_number, number, plugin, dataset_type));
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(Some(*one)),
        [] => {
            let types = manifest.plugins.iter().flat_map(|plugin| &plugin.dataset_types).map(|found| &*found.name);
            let types: Vec<&str> = types.chain(["memory"]).collect();
            let hint = did_you_mean(wanted, types.iter().copied())
                .unwrap_or_else(|| format!("the loaded plugins have {}", list(types.iter().copied())));
            Err(Problem::new("unknown-type", format!("no plugin has a dataset type `{name}`"))
                .hint_if(from_formats(manifest, wanted_plugin, wanted))
                .hint(hint))
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|(_, _, plugin, _)| format!("{}::{wanted}", plugin.name)).collect();
            Err(Problem::new("ambiguous-type", format!("{} plugins have a dataset type `{wanted}`", several.len()))
                .hint(format!("write which: {}", list(names.iter().map(String::as_str)))))
        }
    }
}

/// Finds a dataset type by its name, `csv` or `formats::csv`: the positions of its plugin and of itself, and the plugin's name.
///
/// # Errors
/// What is wrong with the name, with the types there are.
pub fn find_dataset_type(manifest: &Manifest, name: &str) -> Result<(u32, u32, String), Problem> {
    match find_type(manifest, name)? {
        Some((plugin, dataset_type, signature, _)) => Ok((plugin, dataset_type, signature.name.clone())),
        None => Err(Problem::new("unknown-type", "nothing can be written as \"memory\"")),
    }
}

/// Says that a type comes from the plugin `formats`, where that is what is missing.
fn from_formats(manifest: &Manifest, wanted_plugin: Option<&str>, wanted: &str) -> Option<String> {
    let is_meant = wanted_plugin.is_none_or(|plugin| plugin == FORMATS) && FORMATS_TYPES.contains(&wanted);
    let is_loaded = manifest.plugins.iter().any(|plugin| plugin.name == FORMATS);
    (is_meant && !is_loaded).then(|| {
        format!(
            "`{wanted}` comes from the plugin `{FORMATS}`, which is not loaded; \
             `ctl plugins` tells of those that were refused"
        )
    })
}

fn unknown_plugin(manifest: &Manifest, name: &str) -> Problem {
    let plugins = || manifest.plugins.iter().map(|plugin| &*plugin.name);
    let hint = did_you_mean(name, plugins()).unwrap_or_else(|| match manifest.plugins.len() {
        0 => "no plugin is loaded; `--plugins DIR` names a directory of them".to_owned(),
        _ => format!("the loaded plugins are {}; `ctl plugins` tells of those that were refused", list(plugins())),
    });
    Problem::new("unknown-plugin", format!("no plugin is named `{name}`")).hint(hint)
}

fn position_of_node<'m>(plugin: &'m PluginSignature, name: &str) -> Option<(u32, &'m NodeSignature)> {
    position(&plugin.nodes, |node| node.name == name)
}

fn position<T>(items: &[T], matches: impl Fn(&T) -> bool) -> Option<(u32, &T)> {
    (0u32..).zip(items).find(|(_, item)| matches(item))
}

fn all_nodes(manifest: &Manifest) -> Vec<String> {
    let each = manifest.plugins.iter().flat_map(|plugin| plugin.nodes.iter().map(move |node| (plugin, node)));
    each.map(|(plugin, node)| format!("{}::{}", plugin.name, node.name)).collect()
}
