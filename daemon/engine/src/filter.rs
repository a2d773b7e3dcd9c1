//! Which nodes of a pipeline shall run: what a person asks for, before anything is looked up.

/// Filters that intersect: a node runs when every filter that says something takes it. Each looks at the whole pipeline, not
/// at what the others left of it. Within one filter any of its names is enough.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Nodes with one of these tags.
    pub tags: Vec<String>,
    /// These nodes and everything that depends on them.
    pub from_nodes: Vec<String>,
    /// These nodes and everything they depend on.
    pub to_nodes: Vec<String>,
    /// Exactly these nodes.
    pub nodes: Vec<String>,
    /// The readers of these datasets or parameters, and everything that depends on them.
    pub from_inputs: Vec<String>,
    /// The makers of these datasets, and everything they depend on.
    pub to_outputs: Vec<String>,
    /// The nodes of these namespaces, and of those inside them.
    pub namespaces: Vec<String>,
}

impl Filter {
    /// Says whether it takes every node.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Gives the namespace of a node: what stands before the last dot of its name.
pub fn namespace(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(namespace, _)| namespace)
}

/// Says whether one namespace is the other or lies inside of it.
pub fn is_within(namespace: &str, outer: &str) -> bool {
    namespace.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_end_at_dots() {
        assert_eq!([namespace("a.b.c"), namespace("a"), namespace("a.")], [Some("a.b"), None, Some("a")]);
        assert!(
            is_within("a.b", "a") && is_within("a.b", "a.b") && !is_within("a.bc", "a.b") && !is_within("a", "a.b")
        );
    }
}
