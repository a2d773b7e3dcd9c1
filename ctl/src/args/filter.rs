//! Arguments that choose the nodes of a pipeline.

use protocol::Filter;

const HEADING: &str = "Choosing nodes (filters intersect; names with commas between)";

/// Which nodes; the filters intersect, and each takes several names with commas between.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FilterArgs {
    /// Only nodes with one of these tags
    #[arg(long, short, value_name = "TAGS", value_delimiter = ',', help_heading = HEADING)]
    pub tags: Vec<String>,
    /// Only these nodes and what depends on them
    #[arg(long, value_name = "NODES", value_delimiter = ',', help_heading = HEADING)]
    pub from_nodes: Vec<String>,
    /// Only these nodes and what they depend on
    #[arg(long, value_name = "NODES", value_delimiter = ',', help_heading = HEADING)]
    pub to_nodes: Vec<String>,
    /// Only these nodes
    #[arg(long, short, value_name = "NODES", value_delimiter = ',', help_heading = HEADING)]
    pub nodes: Vec<String>,
    /// Only what reads these datasets or parameters, and what depends on that
    #[arg(long, value_name = "DATASETS", value_delimiter = ',', help_heading = HEADING)]
    pub from_inputs: Vec<String>,
    /// Only what makes these datasets, and what that depends on
    #[arg(long, value_name = "DATASETS", value_delimiter = ',', help_heading = HEADING)]
    pub to_outputs: Vec<String>,
    /// Only nodes of these namespaces: `a` takes `a.train` and `a.b.train`
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', help_heading = HEADING)]
    pub namespaces: Vec<String>,
}

impl FilterArgs {
    /// Gives what is sent; blanks around the names and empty names are no part of them.
    pub fn to_filter(&self) -> Filter {
        let names = |names: &[String]| -> Vec<String> {
            names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        };
        Filter {
            tags: names(&self.tags),
            from_nodes: names(&self.from_nodes),
            to_nodes: names(&self.to_nodes),
            nodes: names(&self.nodes),
            from_inputs: names(&self.from_inputs),
            to_outputs: names(&self.to_outputs),
            namespaces: names(&self.namespaces),
        }
    }
}
