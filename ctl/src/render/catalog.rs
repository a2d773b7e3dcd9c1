//! What a catalog makes of names, and the versions of datasets.

use protocol::{CatalogDataset, CatalogList, ExistsList, Resolution, VersionList};

use super::paint::{Paint, Tone, harmless};
use super::report::reason;
use super::table::{Cell, Table};
use super::units::count;

/// Lists datasets, one a line.
pub fn list(list: &CatalogList, paint: Paint) -> String {
    let mut table = Table::new(&["dataset", "type", "entry", "layer", "path", "description"]);
    for dataset in &list.datasets {
        let entry = match (&dataset.entry, dataset.resolution) {
            (Some(entry), resolution) if resolution != Resolution::Exact => {
                format!("{entry} ({})", resolution.as_str())
            }
            (Some(_), _) => String::new(),
            (None, _) => "none".to_owned(),
        };
        let description = match (dataset.used, dataset.description.as_str()) {
            (true, description) => description.to_owned(),
            (false, "") => "not used by this pipeline".to_owned(),
            (false, description) => format!("not used by this pipeline; {description}"),
        };
        table.row(vec![
            Cell::new(if dataset.used { Tone::Strong } else { Tone::Faint }, dataset.name.as_str()),
            kind(dataset).into(),
            entry.into(),
            dataset.layer.as_str().into(),
            Cell::new(Tone::Faint, dataset.path.clone().unwrap_or_default()),
            Cell::new(Tone::Faint, description),
        ]);
    }
    table.text(0, paint)
}

/// Tells of each dataset which entry it resolves to, why, and what that says.
pub fn resolved(list: &CatalogList, paint: Paint) -> String {
    let each = list.datasets.iter().map(|dataset| {
        let mut text = format!("{}\n", paint.strong(&harmless(&dataset.name)));
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("  {name:<12} {}\n", harmless(value)));
            }
        };
        line("entry", dataset.entry.as_deref().unwrap_or("none"));
        line("at", &dataset.place.as_ref().map(ToString::to_string).unwrap_or_default());
        line("because", &dataset.why);
        line("type", &kind(dataset));
        line("plugin", dataset.plugin.as_deref().unwrap_or_default());
        line("path", dataset.path.as_deref().unwrap_or_default());
        for (name, value) in
            [("options", &dataset.options), ("preview", &dataset.preview), ("metadata", &dataset.metadata)]
        {
            line(name, &if value.is_null() { String::new() } else { value.to_string() });
        }
        line("credentials", dataset.credentials.as_deref().unwrap_or_default());
        let schema: Vec<String> = dataset.schema.iter().map(|(column, kind)| format!("{column} {kind}")).collect();
        line("schema", &schema.join(", "));
        line("layer", &dataset.layer);
        line("description", &dataset.description);
        line("hint", &dataset.near.as_ref().map(|near| format!("did you mean `{near}`?")).unwrap_or_default());
        text
    });
    each.collect::<Vec<_>>().join("\n")
}

/// Says of each dataset whether its data is there.
pub fn exists(list: &ExistsList, paint: Paint) -> String {
    let mut table = Table::new(&["dataset", "type", "there", "path", ""]);
    for dataset in &list.datasets {
        let there = match dataset.exists {
            Some(true) => Cell::new(Tone::Good, "yes"),
            Some(false) => Cell::new(Tone::Notable, "no"),
            None => Cell::new(Tone::Bad, "unknown"),
        };
        table.row(vec![
            Cell::new(Tone::Strong, dataset.name.as_str()),
            dataset.storage.as_str().into(),
            there,
            Cell::new(Tone::Faint, dataset.path.clone().unwrap_or_default()),
            dataset.failure.as_ref().map(reason).unwrap_or_default().into(),
        ]);
    }
    if table.is_empty() { "no dataset of this pipeline is persisted\n".to_owned() } else { table.text(0, paint) }
}

/// Lists versions, latest first.
pub fn versions(list: &VersionList, paint: Paint) -> String {
    if list.datasets.is_empty() {
        return "no dataset of this pipeline is versioned\n".to_owned();
    }
    let each = list.datasets.iter().map(|dataset| {
        let number = count(dataset.versions.len() as u64, "version");
        let head = format!("{} ({number}, {})\n", paint.strong(&harmless(&dataset.name)), harmless(&dataset.path));
        dataset.versions.iter().fold(head, |text, version| text + &format!("  {}\n", harmless(version)))
    });
    each.collect::<Vec<_>>().join("\n")
}

fn kind(dataset: &CatalogDataset) -> String {
    let versioned = if dataset.versioned { ", versioned" } else { "" };
    format!("{}{versioned}", dataset.storage)
}
