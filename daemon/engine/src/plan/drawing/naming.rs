//! What a drawn node is called and tagged, and whether another file has it already.

use std::borrow::Cow;

use super::Drawing;
use crate::id::NodeId;
use crate::matrix::Combination;
use crate::plan::draft::number;
use crate::problem::Problem;

impl<'s, 'a> Drawing<'_, 's, 'a> {
    /// Gives the node's name; nothing when it cannot be told.
    pub(super) fn name_of(&mut self, combination: &Combination<'_, '_>) -> Option<Cow<'s, str>> {
        let spec = self.spec;
        let inner = match &spec.name {
            Some(name) => self.fill(name, combination)?,
            None => Cow::Owned(self.names.name(spec, self.module, combination)),
        };
        let inner = match spec.namespace() {
            Some(namespace) => Cow::Owned(format!("{}.{inner}", namespace.text)),
            None => inner,
        };
        Some(self.draft.renaming.node(self.module, inner))
    }

    /// Names the node; a name that is taken is a problem.
    pub(super) fn name(&mut self, name: Option<Cow<'_, str>>) -> NodeId {
        let site = self.spec.name.as_ref().map_or(self.spec.site, |name| name.site);
        let name = name.unwrap_or(Cow::Borrowed("?"));
        if name != "?" {
            // A bad name is kept all the same, so that later problems can call the node something.
            self.check_name(&name, "a node", site);
        }
        let (id, new) = self.draft.node_names.intern(&name);
        if new {
            return id;
        }
        if name != "?"
            && let Some(first) = self.draft.spec.node(self.draft.nodes[id].spec)
        {
            let place = self.draft.told(Some(first.name.as_ref().map_or(first.site, |name| name.site)));
            let same = self.draft.nodes[id].spec == self.instance;
            let twice = !same && std::ptr::eq(first, self.spec);
            let (named, axes) = (self.spec.name.is_some(), self.spec.matrix());
            self.draft.problems.add("duplicate-node", Some(site), || {
                let problem = Problem::new("duplicate-node", format!("two nodes are named `{name}`"));
                match (same, axes.first()) {
                    _ if twice => problem
                        .cause("its file is included twice")
                        .hint("give each include a namespace of its own"),
                    (true, Some(axis)) => problem
                        .cause("both come from this node's matrix")
                        .hint(format!("put `{{{}}}` into its name", axis.name.text)),
                    _ if named => {
                        problem.cause(format!("the first is at {place}")).hint("give one of them another name")
                    }
                    _ => problem
                        .cause(format!("the first is at {place}"))
                        .cause("a node without a name is called after the function it calls, and after its outputs where others are too")
                        .hint("give one of them a name"),
                }
            });
        }
        // Ids and nodes stay side by side: the twin gets a name that nobody can have written.
        let twin = format!("{name}\0{}", self.draft.node_names.len());
        self.draft.node_names.intern(&twin).0
    }

    /// Says whether the node is one that another of the files that are run has too, and adds its tags to that one.
    pub(super) fn is_merged(
        &mut self,
        name: Option<&str>,
        combination: &Combination<'s, 'a>,
        policy: u32,
        tags: u32,
    ) -> bool {
        let spec = self.draft.spec;
        if spec.modules.last().is_none_or(|module| module.root == 0) {
            return false; // One file is run, so there is no other.
        }
        let Some(known) = name.and_then(|name| self.draft.node_names.find(name)) else { return false };
        let root = |instance| spec.module_of(instance).map(|module| module.root);
        let other = self.draft.nodes[known];
        if root(other.spec) == root(self.instance) || (other.call, other.policy) != (self.call, policy) {
            return false;
        }
        let (inputs, outputs) = (self.inputs(combination), self.outputs(combination));
        let confirms = self.confirms(combination);
        if self.draft.inputs.get(known) != inputs
            || self.draft.outputs.get(known) != outputs
            || self.draft.confirms.get(known) != confirms
        {
            return false;
        }
        if other.tags != tags {
            let sets = &self.draft.tag_sets;
            let mut both = sets[other.tags as usize].clone();
            both.extend(sets[tags as usize].iter().filter(|tag| !sets[other.tags as usize].contains(tag)).cloned());
            self.draft.nodes[known].tags = self.tag_set(both);
        }
        true
    }

    pub(super) fn tags(&mut self, combination: &Combination<'_, '_>) -> u32 {
        let spec = self.spec;
        let of_file = self.draft.spec.modules.get(self.module as usize).map_or(&[][..], |module| &module.tags);
        if spec.tags().is_empty() && of_file.is_empty() {
            return 0;
        }
        let mut tags: Vec<String> =
            spec.tags().iter().filter_map(|tag| self.fill(tag, combination)).map(Cow::into_owned).collect();
        for tag in of_file {
            if !tags.iter().any(|known| *known == tag.text) {
                tags.push(tag.text.to_string());
            }
        }
        self.tag_set(tags)
    }

    fn tag_set(&mut self, tags: Vec<String>) -> u32 {
        if let Some(&known) = self.caches.tags.get(&tags) {
            return known;
        }
        self.draft.tag_sets.push(tags.clone());
        let new = number(self.draft.tag_sets.len() - 1);
        self.caches.tags.insert(tags, new);
        new
    }
}
