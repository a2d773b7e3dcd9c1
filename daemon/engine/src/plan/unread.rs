//! Parameters that were set one by one and that nobody reads: most likely a name was mistyped. Setting them does no harm, so this is
//! told and not refused.
//!
//! Nodes that a filter leaves out count as readers: a command that sets a parameter may run any part of the pipeline. So does
//! whatever a text names as `${parameter}`, used or not.

use serde_json::Value as Json;

use crate::interpolate::look_up;
use crate::plan::Parameter;
use crate::plan::draft::Draft;
use crate::plan::drawing::parameter_path;
use crate::problem::nearest;

/// One sentence for each parameter of the command line that nobody reads. To be called while the draft has all that the pipeline binds.
pub(super) fn warnings(draft: &Draft<'_, '_>) -> Vec<String> {
    let overrides = draft.spec.overrides;
    if overrides.is_empty() || draft.doubtful {
        return Vec::new();
    }
    let bound: Vec<&str> = (draft.parameters.iter()).filter_map(|(_, parameter)| read_by(draft, parameter)).collect();
    let mut unread: Vec<&str> = overrides.iter().map(|(path, _)| path.as_str()).collect();
    unread.sort_unstable();
    unread.dedup();
    unread.retain(|path| !bound.iter().any(|read| touches(path, read)));
    if unread.is_empty() {
        return Vec::new();
    }
    // An included file names a parameter without the namespace that stands before it from outside.
    let named: Vec<&str> = draft.spec.texts.iter().flat_map(interpolated).collect();
    unread.retain(|path| !named.iter().any(|read| tails(path).any(|tail| touches(tail, read))));
    unread.into_iter().map(|path| tell(path, bound.iter().chain(&named).copied())).collect()
}

/// The path that a node reads; nothing where a value of its matrix, which goes before the parameters, stands in place of one.
fn read_by<'d>(draft: &'d Draft<'_, '_>, parameter: &'d Parameter) -> Option<&'d str> {
    let path = parameter_path(&parameter.name)?;
    let is_of_pipeline =
        |path| look_up(&draft.spec.parameters, path).map(Json::to_string).as_ref() == Some(&parameter.json);
    (path.is_empty() || is_of_pipeline(path)).then_some(path)
}

fn tell<'n>(path: &str, read: impl Iterator<Item = &'n str>) -> String {
    let told = format!("parameter `{path}` was set with `--params`, but nothing in the pipeline reads it");
    let candidates: Vec<String> = read.map(|read| meant(path, read)).collect();
    let of_namespace = candidates.iter().find(|read| tails(read).any(|tail| tail == path));
    let near = of_namespace.map(String::as_str).or_else(|| nearest(path, candidates.iter().map(String::as_str)));
    match near {
        Some(near) => format!("{told}; did you mean `{near}`?"),
        None => told,
    }
}

/// What should have been written, if this is what was meant. Within a table that is read whole there may be any name.
fn meant(path: &str, read: &str) -> String {
    let inner = path.split('.').skip(read.split('.').count());
    std::iter::once(read).chain(inner).collect::<Vec<_>>().join(".")
}

/// Whether setting the one changes what the other is: they are the same, or one is a part of the other.
fn touches(set: &str, read: &str) -> bool {
    let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    read.is_empty() || set == read || within(set, read) || within(read, set)
}

/// A path, and what is left of it without its first names.
fn tails(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.split_once('.').map(|(_, tail)| tail))
}

/// What a text puts in from elsewhere: the names in `${name}` and `${name:-default}`.
fn interpolated(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| {
        let (inner, _) = rest.split_once('}')?;
        let name = inner.split(":-").next().unwrap_or(inner);
        (!name.is_empty() && !name.starts_with("env:")).then_some(name)
    })
}
