//! The JSON schema of what stands behind `Params<T>`, so that a wrong parameter is found before anything runs.
//!
//! A type has one if it derives `JsonSchema` and the feature `schema` is on; every other type is checked when its node runs. Which
//! of the two holds is decided where `#[node]` knows the type: an inherent method with a bound is taken before a trait's without
//! one. So deriving is a choice of each type, and the feature takes nothing away from plugins that do not care.

use std::marker::PhantomData;

/// Asks a port's type for its schema; see [`Unknown`].
#[derive(Debug)]
pub struct Asked<T>(PhantomData<T>);

impl<T> Asked<T> {
    /// Asks.
    #[allow(clippy::new_without_default, reason = "only generated code asks")]
    pub fn new() -> Self {
        Asked(PhantomData)
    }
}

/// The answer of types of which nothing is known: no schema.
pub trait Unknown {
    /// The schema as JSON text; empty.
    fn schema(&self) -> String {
        String::new()
    }
}

impl<T> Unknown for Asked<T> {}

#[cfg(feature = "schema")]
mod known {
    use schemars::{JsonSchema, SchemaGenerator};

    use super::Asked;
    use crate::Params;

    impl<T: JsonSchema> Asked<Params<T>> {
        /// The schema as JSON text.
        pub fn schema(&self) -> String {
            text_of::<T>()
        }
    }

    impl<T: JsonSchema> Asked<Option<Params<T>>> {
        /// The schema as JSON text.
        pub fn schema(&self) -> String {
            text_of::<T>()
        }
    }

    fn text_of<T: JsonSchema>() -> String {
        // A schema is plain JSON, so writing it cannot fail; without one the parameter is checked when the node runs.
        serde_json::to_string(&SchemaGenerator::default().into_root_schema_for::<T>()).unwrap_or_default()
    }
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;
    use crate::Params;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its schema is of interest")]
    struct Known {
        depth: u32,
    }

    #[derive(serde::Deserialize)]
    struct Plain;

    #[test]
    fn parity_p8_types_that_derive_it_have_a_schema() {
        let known = Asked::<Params<Known>>::new().schema();
        let known: serde_json::Value = serde_json::from_str(&known).expect("JSON");
        assert_eq!(known["properties"]["depth"]["type"], "integer");
        assert_eq!(known["required"], serde_json::json!(["depth"]));
        assert_eq!(known["additionalProperties"], false);
        assert_eq!(Asked::<Option<Params<Known>>>::new().schema(), Asked::<Params<Known>>::new().schema());
        assert!(Asked::<Params<i64>>::new().schema().contains("integer"));
        assert_eq!(Asked::<Params<Plain>>::new().schema(), "");
        assert_eq!(Asked::<f64>::new().schema(), "");
    }
}
