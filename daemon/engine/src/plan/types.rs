//! Parameters against the types behind `Params<T>`, told where the parameter is written.

use serde_json::Value as Json;

use crate::document::Word;
use crate::id::ParameterId;
use crate::json_schema;
use crate::plan::draft::Draft;
use crate::plan::drawing::parameter_path;
use crate::problem::Problem;

/// Tells everything in which a parameter is not what its port takes; `port` is its name and that of the call.
pub(super) fn check(
    draft: &mut Draft<'_, '_>,
    schema: &Json,
    parameter: ParameterId,
    port: (&str, &str),
    target: &Word<'_>,
) {
    let parameter = &draft.parameters[parameter];
    let Ok(value) = serde_json::from_str::<Json>(&parameter.json) else { return };
    let name = parameter.name.clone();
    let top = parameter_path(&name).unwrap_or_default();
    let place = draft.told(Some(target.site));
    for found in json_schema::mismatches(schema, &value) {
        let inner = found.path.iter().map(String::as_str);
        let path: Vec<&str> = top.split('.').filter(|part| !part.is_empty()).chain(inner).collect();
        // A value of a matrix, and one that was set by itself, is in no file: then the node is shown that it is bound to.
        let site = draft.spec.parameter_site(&path);
        let told =
            std::iter::once(name.as_str()).chain(found.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
        draft.tell_if_run("parameter-type", Some(site.unwrap_or(target.site)), || {
            let (port, call) = port;
            Problem::new("parameter-type", format!("`{told}` {}", found.message))
                .cause(format!("input `{port}` of `{call}` takes it at {place}"))
                .hint_if(found.hint)
        });
    }
}
