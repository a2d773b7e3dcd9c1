//! `ctl nodes`: what pipelines can call.

use std::path::Path;

use protocol::{NodeInfo, NodeList, exit, path};

use super::show;
use crate::args::NodesCommand;
use crate::error::{Error, closest};
use crate::render::node;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(command: &NodesCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let session = Session::open(socket, &command.daemon)?;
    let answer = session.client.get::<NodeList>(path::NODES).await;
    let list = session.close(answer).await?;
    let Some(name) = &command.name else {
        if list.nodes.is_empty() && !screen.json {
            screen.note("no plugin offers nodes; `ctl plugins` shows what is loaded");
        }
        return show(screen, &list, |list, paint| node::list(&list.nodes.iter().collect::<Vec<_>>(), paint));
    };
    match find(&list, name)? {
        Found::Node(found) => show(screen, found, node::explain),
        Found::Plugin(nodes) => {
            let list = NodeList { nodes };
            show(screen, &list, |list, paint| node::list(&list.nodes.iter().collect::<Vec<_>>(), paint))
        }
    }
}

#[derive(Debug)]
enum Found<'a> {
    Node(&'a NodeInfo),
    Plugin(Vec<NodeInfo>),
}

/// A node by its full name, by its own name if only one plugin has it, or all nodes of a plugin.
fn find<'a>(list: &'a NodeList, name: &str) -> Result<Found<'a>, Error> {
    if let Some(node) = list.nodes.iter().find(|node| node.call == name) {
        return Ok(Found::Node(node));
    }
    let of_plugin: Vec<NodeInfo> = list.nodes.iter().filter(|node| node.plugin == name).cloned().collect();
    if !of_plugin.is_empty() {
        return Ok(Found::Plugin(of_plugin));
    }
    let named: Vec<&NodeInfo> = list.nodes.iter().filter(|node| node.name == name).collect();
    if let [node] = named[..] {
        return Ok(Found::Node(node));
    }
    let calls = list.nodes.iter().map(|node| node.call.as_str());
    let names = list.nodes.iter().flat_map(|node| [node.call.as_str(), node.name.as_str(), node.plugin.as_str()]);
    let error = Error::new(exit::NOT_FOUND, "unknown-node", format!("no plugin offers a node {name:?}"));
    Err(match named.is_empty() {
        true => error.hint_if(closest(name, names).map(|close| format!("did you mean {close}?"))),
        false => {
            let several: Vec<&str> = calls.filter(|call| call.ends_with(&format!("::{name}"))).collect();
            error.hint(format!("several plugins do, say which: {}", several.join(", ")))
        }
    }
    .hint("`ctl nodes` lists all; `ctl plugins` shows what is loaded"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn list() -> NodeList {
        let node = |plugin: &str, name: &str| NodeInfo {
            call: format!("{plugin}::{name}"),
            plugin: plugin.into(),
            name: name.into(),
            ..NodeInfo::default()
        };
        NodeList { nodes: vec![node("a", "copy"), node("flights", "copy"), node("flights", "train")] }
    }

    fn hints(name: &str) -> String {
        match find(&list(), name) {
            Err(Error::Failed(complaint)) => {
                assert_eq!(complaint.exit, exit::NOT_FOUND);
                complaint.detail.hints.join("\n")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_is_found_by_either_name_and_a_plugin_by_its_own() {
        assert!(matches!(find(&list(), "flights::train").unwrap(), Found::Node(node) if node.name == "train"));
        assert!(matches!(find(&list(), "train").unwrap(), Found::Node(node) if node.name == "train"));
        assert!(matches!(find(&list(), "flights").unwrap(), Found::Plugin(nodes) if nodes.len() == 2));
    }

    #[test]
    fn what_is_not_found_is_guessed() {
        assert!(hints("flights::trian").starts_with("did you mean flights::train?\n"));
        assert!(hints("trian").starts_with("did you mean train?\n"));
        assert!(hints("copy").starts_with("several plugins do, say which: a::copy, flights::copy\n"));
    }
}
