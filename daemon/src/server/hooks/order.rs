//! Which hooks are on, and in which order they are called.
//!
//! Registered are the hooks of `[hooks] enabled`, in the list's order, then those that plugins register by themselves, by name,
//! unless `disabled_plugins` names the plugin (or the hook). The one registered last is called first. A hook may ask, and the
//! configuration may say, that it be called before or after all others. Registering a hook twice is once.
#![forbid(unsafe_code)]

use protocol::{HookInfo, HookOrigin};

use super::event::EventSet;
use crate::ipc::manifest::{GenerationManifest, HookDescription, PluginDescription};
use crate::server::config::{HookConfig, HookErrorPolicy, HookOrder, HooksConfig};

/// A hook that is on.
#[derive(Debug, Clone)]
pub struct Registered {
    /// `plugin::Hook`.
    pub name: String,
    /// The plugin's name.
    pub plugin_name: String,
    /// Position of the plugin in the manifest.
    pub plugin: u32,
    /// Position of the hook in its plugin.
    pub hook: u32,
    /// The events it asked for.
    pub events: EventSet,
    /// Its settings.
    pub settings: HookConfig,
}

/// The hooks that are on, in the order they are called, and everything there is to say about hooks.
pub fn register(manifest: &GenerationManifest, config: &HooksConfig) -> (Vec<Registered>, Vec<HookInfo>) {
    let offered = offered(manifest);
    let mut registered: Vec<(&Offer<'_>, HookOrigin)> = Vec::new();
    let mut infos = Vec::new();
    for name in &config.enabled {
        match offered.iter().find(|offer| offer.name == *name) {
            Some(offer) if registered.iter().any(|(other, _)| other.name == offer.name) => {}
            Some(offer) => registered.push((offer, HookOrigin::Configuration)),
            None => infos.push(missing(name, &offered, &config.settings_of(name))),
        }
    }
    let is_disabled = |offer: &Offer<'_>| {
        config.disabled_plugins.iter().any(|name| *name == offer.plugin.name || *name == offer.name)
    };
    for offer in &offered {
        if registered.iter().any(|(other, _)| other.name == offer.name) {
            continue;
        }
        if offer.hook.self_registering && !is_disabled(offer) {
            registered.push((offer, HookOrigin::Plugin));
            continue;
        }
        let (origin, why) = if offer.hook.self_registering {
            (HookOrigin::Plugin, format!("[hooks] disabled_plugins names {}", offer.plugin.name))
        } else {
            (HookOrigin::Offered, "it does not register itself, and [hooks] enabled does not name it".to_owned())
        };
        infos.push(offer.info(origin, 0, Some(why), &config.settings_of(&offer.name)));
    }
    // Stable: within first, middle and last the one registered last stays in front.
    registered.reverse();
    registered.sort_by_key(|(offer, _)| offer.rank(&config.settings_of(&offer.name)));
    let mut active: Vec<HookInfo> = Vec::new();
    let mut calls = Vec::new();
    for (position, (offer, origin)) in (1..).zip(&registered) {
        let settings = config.settings_of(&offer.name);
        active.push(offer.info(*origin, position, None, &settings));
        calls.push(Registered {
            name: offer.name.clone(),
            plugin_name: offer.plugin.name.clone(),
            plugin: offer.plugin_index,
            hook: offer.hook_index,
            events: EventSet::of_words(offer.hook.events.iter().map(String::as_str)),
            settings,
        });
    }
    active.append(&mut infos);
    (calls, active)
}

struct Offer<'a> {
    name: String,
    plugin: &'a PluginDescription,
    plugin_index: u32,
    hook: &'a HookDescription,
    hook_index: u32,
}

/// Every hook of every plugin, by name.
fn offered(manifest: &GenerationManifest) -> Vec<Offer<'_>> {
    let mut offered: Vec<Offer<'_>> = (0..)
        .zip(&manifest.plugins)
        .flat_map(|(plugin_index, plugin)| {
            (0..).zip(&plugin.hooks).map(move |(hook_index, hook)| Offer {
                name: format!("{}::{}", plugin.name, hook.name),
                plugin,
                plugin_index,
                hook,
                hook_index,
            })
        })
        .collect();
    offered.sort_by(|a, b| a.name.cmp(&b.name));
    offered
}

impl Offer<'_> {
    fn rank(&self, settings: &HookConfig) -> u8 {
        match settings.order {
            HookOrder::First => 0,
            HookOrder::Last => 2,
            HookOrder::AsDeclared => match self.hook.default_order.as_str() {
                "first" => 0,
                "last" => 2,
                _ => 1,
            },
        }
    }

    fn info(&self, origin: HookOrigin, position: u32, off_because: Option<String>, settings: &HookConfig) -> HookInfo {
        HookInfo {
            name: self.name.clone(),
            plugin: self.plugin.name.clone(),
            version: self.plugin.version.clone(),
            doc: self.hook.doc.clone(),
            events: self.hook.events.clone(),
            origin,
            active: off_because.is_none(),
            off_because,
            position,
            on_error: policy_word(settings.on_error).to_owned(),
            deadline_ms: settings.deadline_ms,
        }
    }
}

/// A hook that the configuration names and no plugin offers.
fn missing(name: &str, offered: &[Offer<'_>], settings: &HookConfig) -> HookInfo {
    let plugin = name.split("::").next().unwrap_or(name);
    let near = offered
        .iter()
        .map(|offer| (strsim::jaro_winkler(name, &offer.name), &offer.name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = near.map(|(_, near)| format!("; did you mean {near}?")).unwrap_or_default();
    HookInfo {
        name: name.to_owned(),
        plugin: plugin.to_owned(),
        version: String::new(),
        doc: String::new(),
        events: Vec::new(),
        origin: HookOrigin::Configuration,
        active: false,
        off_because: Some(format!("no loaded plugin offers it{hint}")),
        position: 0,
        on_error: policy_word(settings.on_error).to_owned(),
        deadline_ms: settings.deadline_ms,
    }
}

fn policy_word(policy: HookErrorPolicy) -> &'static str {
    match policy {
        HookErrorPolicy::Fail => "fail",
        HookErrorPolicy::Ignore => "ignore",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str, self_registering: bool, order: &str) -> HookDescription {
        HookDescription {
            name: name.to_owned(),
            self_registering,
            default_order: order.to_owned(),
            events: vec!["after_node_run".to_owned(), "from_the_future".to_owned()],
            ..Default::default()
        }
    }

    fn manifest() -> GenerationManifest {
        let plugin = |name: &str, hooks| PluginDescription { name: name.to_owned(), hooks, ..Default::default() };
        GenerationManifest {
            plugins: vec![
                plugin("z", vec![hook("Self", true, "")]),
                plugin("m", vec![hook("A", false, ""), hook("B", false, ""), hook("First", false, "first")]),
                plugin("a", vec![hook("Self", true, "")]),
            ],
            ..Default::default()
        }
    }

    fn names(config: &HooksConfig) -> Vec<String> {
        register(&manifest(), config).0.into_iter().map(|hook| hook.name).collect()
    }

    #[test]
    fn the_last_registered_is_called_first_and_self_registered_ones_come_after_the_list() {
        let mut config =
            HooksConfig { enabled: vec!["m::A".into(), "m::B".into(), "m::A".into()], ..Default::default() };
        assert_eq!(names(&config), ["z::Self", "a::Self", "m::B", "m::A"]);
        config.enabled.insert(0, "m::First".into());
        assert_eq!(names(&config), ["m::First", "z::Self", "a::Self", "m::B", "m::A"]);
        config.settings.insert("z::Self".into(), HookConfig { order: HookOrder::Last, ..Default::default() });
        assert_eq!(names(&config), ["m::First", "a::Self", "m::B", "m::A", "z::Self"]);
    }

    #[test]
    fn the_list_says_why_a_hook_is_off() {
        let config =
            HooksConfig { enabled: vec!["a::Selv".into()], disabled_plugins: vec!["z".into()], ..Default::default() };
        let (calls, infos) = register(&manifest(), &config);
        assert_eq!(calls.len(), 1);
        assert!(calls[0].events.has(super::super::HookEventName::AfterNodeRun));
        assert!(!calls[0].events.has(super::super::HookEventName::BeforeNodeRun));
        let why = |name: &str| {
            let info = infos.iter().find(|info| info.name == name);
            info.and_then(|info| info.off_because.clone()).unwrap_or_default()
        };
        assert!(why("z::Self").contains("disabled_plugins names z"));
        assert!(why("a::Selv").contains("did you mean a::Self"));
        assert!(why("m::A").contains("does not register itself"));
        assert_eq!(why("a::Self"), "");
        assert_eq!(infos.len(), 6);
        assert!(infos[0].active && infos[0].position == 1);
    }
}
