//! Two hooks that write down what they hear of a run, one of which does something odd at one of its events; the picky one is called first.

use tests::{Daemon, Scene, SceneBuilder};

/// A scene with both hooks; `on_error` is what becomes of a run at which the picky one fails.
pub fn scene(plugins: &[&str], start_method: &str, on_error: &str) -> SceneBuilder {
    Scene::with(plugins)
        .set("workers.start_method", format!("{start_method:?}"))
        .set("hooks.enabled", "[\"hook_faults::Recorder\", \"hook_faults::Picky\"]")
        .set("hooks.disabled_plugins", "[\"hook_faults\"]")
        .set("hooks.settings.\"hook_faults::Picky\".on_error", format!("{on_error:?}"))
}

/// The picky hook has a second for its answer if it does not come; otherwise the time that a busy machine may take.
pub fn patient(scene: SceneBuilder, does: &str) -> SceneBuilder {
    match does {
        "hang" => scene.set("hooks.settings.\"hook_faults::Picky\".deadline_ms", 1_000),
        _ => scene,
    }
}

/// Starts a daemon whose picky hook does this at this event of this node.
#[track_caller]
pub fn start<'a>(scene: &'a Scene, event: &str, node: &str, does: &str) -> Daemon<'a> {
    let (file, until) = (scene.path("heard"), scene.path("until"));
    set_options(scene, "hook_faults::Recorder", &format!("{{ file = {file:?} }}"));
    let options =
        format!("{{ file = {file:?}, event = {event:?}, node = {node:?}, does = {does:?}, until = {until:?} }}");
    set_options(scene, "hook_faults::Picky", &options);
    scene.start()
}

/// Gives a hook its options.
#[track_caller]
pub fn set_options(scene: &Scene, hook: &str, options: &str) {
    scene.configure_more(&format!("hooks.settings.\"{hook}\".options"), options);
}
