//! What the engine's tests share: a manifest written as text, and sources made of named snippets.
#![allow(dead_code, reason = "each test binary uses its part")]

use engine::plan::{Plan, PlanOptions, check};
use engine::problem::Problem;
use engine::signature::{DatasetTypeSignature, Manifest, NodeSignature, PluginSignature, Port, PortKind};
use engine::source::{Source, Sources};

/// Makes a manifest of lines such as
/// `flights::train(table: table, options: params json, note?: text) -> (model: json)` and
/// `type formats::csv loads table saves table single`.
pub fn manifest(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("type ") {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (plugin, name) = words[0].split_once("::").expect("plugin::type");
            let after = |word: &str| -> Vec<PortKind> {
                let position = words.iter().position(|other| *other == word);
                position.map_or_else(Vec::new, |at| words[at + 1].split(',').map(PortKind::parse).collect())
            };
            plugin_of(&mut manifest, plugin).dataset_types.push(DatasetTypeSignature {
                name: name.to_owned(),
                loads: after("loads"),
                saves: after("saves"),
                single_process: words.contains(&"single"),
                releases: false,
                appends: words.contains(&"appends"),
            });
        } else {
            let (label, rest) = line.split_once('(').expect("(inputs)");
            let (inputs, outputs) = rest.split_once(')').expect(") after the inputs");
            let outputs = outputs.trim().trim_start_matches("->").trim().trim_matches(['(', ')']);
            let (plugin, name) = label.split_once("::").expect("plugin::node");
            let (inputs, outputs) = (ports(inputs), ports(outputs));
            plugin_of(&mut manifest, plugin).nodes.push(NodeSignature { name: name.to_owned(), inputs, outputs });
        }
    }
    manifest
}

fn plugin_of<'m>(manifest: &'m mut Manifest, name: &str) -> &'m mut PluginSignature {
    if !manifest.plugins.iter().any(|plugin| plugin.name == name) {
        let version = "1.0.0".to_owned();
        manifest.plugins.push(PluginSignature { name: name.to_owned(), version, ..PluginSignature::default() });
    }
    manifest.plugins.iter_mut().find(|plugin| plugin.name == name).expect("just added")
}

fn ports(text: &str) -> Vec<Port> {
    let each = text.split(',').map(str::trim).filter(|port| !port.is_empty());
    each.map(|port| {
        let (name, kind) = port.split_once(':').expect("name: kind");
        let kind = kind.trim();
        Port {
            name: name.trim_end_matches('?').to_owned(),
            kind: PortKind::parse(kind.trim_start_matches("params ").trim_start_matches("chunks ")),
            optional: name.ends_with('?'),
            parameter: kind.starts_with("params "),
            schema: None,
            chunks: kind.starts_with("chunks "),
        }
    })
    .collect()
}

/// The plugins that most tests plan against.
pub const PLUGINS: &str = "
    flights::clean_flights(flights: table) -> (clean: table)
    flights::clean_weather(weather: table) -> (clean: table)
    flights::clean_planes(planes: table) -> (clean: table)
    flights::build_features(flights: table, weather: table, planes: table) -> (features: table)
    flights::split(table: table) -> (train: table, test: table)
    flights::train(table: table, options: params json, origin: string) -> (model: json)
    flights::evaluate(model_ewr: json, model_jfk: json, model_lga: json, test: table) -> (metrics: json)
    flights::carrier_delays(flights: table, airlines: table) -> (delays: table)
    flights::delay_chart(delays: table) -> (chart: text)
    t::source() -> (out: json)
    t::copy(value: json) -> (out: json)
    t::join(left: json, right: json, extra?: json) -> (out: json)
    t::sink(value: json) -> ()
    t::scale(table: table, factor: params number, times: integer) -> (out: table)
    t::nothing() -> ()
    t::text_sink(text: text) -> ()
    t::generate(count: integer) -> (rows: chunks table, notes: chunks text)
    type formats::csv loads table saves table appends
    type formats::parquet loads table saves table
    type formats::json loads json saves json
    type formats::text loads text saves text
    type formats::sqlite loads table saves table single
";

/// Snippets under their file names: `pipeline.toml`, `catalog.toml`, `parameters.toml` (or `.json`); `inc/…` are there to be
/// included, and of several in `pipelines/` the sum is planned.
pub fn sources(files: &[(&str, &str)]) -> Sources {
    let mut sources = Sources { base_directory: "/project".to_owned(), ..Sources::default() };
    sources.environment.insert("HOME_DATA".to_owned(), "/home/me/data".to_owned());
    for &(name, text) in files {
        let source = Source::new(name, text);
        match name.split_once('/').map(|(folder, _)| folder) {
            Some("inc") => sources.includes.push(source.clone()),
            Some("pipelines") if !sources.pipeline.name.is_empty() => sources.summed.push(source.clone()),
            _ => {}
        }
        if name.starts_with("inc/") || sources.summed.contains(&source) {
            continue;
        }
        match name.split(['.', '-']).next() {
            Some("catalog") => sources.catalogs.push(source),
            Some("parameters") => sources.parameters.push(source),
            _ => sources.pipeline = source,
        }
    }
    sources
}

/// Plans snippets against [`PLUGINS`].
pub fn plan(files: &[(&str, &str)]) -> Result<Plan, Vec<Problem>> {
    check(&sources(files), &manifest(PLUGINS), &PlanOptions::default())
}

/// Writes problems as a person sees them.
pub fn rendered(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect::<Vec<_>>().join("\n")
}
