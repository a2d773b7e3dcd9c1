//! Any serde type as data or as parameters.
#![cfg(feature = "json")]

use std::ops::{Deref, DerefMut};

use serde::{Serialize, de::DeserializeOwned};

use super::from_json;
use crate::{
    Error, Result,
    abi::{InputBlock, format},
    node::Input,
    output::{Output, OutputPort},
};

/// Data of any serde type, as JSON in the block.
///
/// ```
/// use plugin_api::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(crate = "plugin_api::serde")]
/// struct Model { intercept: f64 }
///
/// /// Predicts the same for all.
/// #[node(outputs = ["prediction"])]
/// fn predict(model: Json<Model>) -> f64 {
///     model.intercept
/// }
/// # let outputs = plugin_api::testing::node::<predict>().input("model", Json(Model { intercept: 2.5 })).run().unwrap();
/// # assert_eq!(outputs.get::<f64>("prediction").unwrap(), 2.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Parameters of any serde type; the port is bound to `params:…` or `parameters` in the pipeline.
///
/// ```
/// use plugin_api::prelude::*;
///
/// #[derive(Deserialize)]
/// #[serde(crate = "plugin_api::serde")]
/// struct Options { features: Vec<String> }
///
/// /// Counts the features.
/// #[node(outputs = ["count"])]
/// fn count(options: Params<Options>) -> i64 {
///     options.features.len() as i64
/// }
/// # let outputs = plugin_api::testing::node::<count>()
/// #     .parameter("options", r#"{"features":["hour"]}"#).run().unwrap();
/// # assert_eq!(outputs.get::<i64>("count").unwrap(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<T>(pub T);

macro_rules! wrapper {
    ($wrapper:ident) => {
        impl<T> $wrapper<T> {
            /// The value itself.
            pub fn into_inner(self) -> T {
                self.0
            }
        }

        impl<T> Deref for $wrapper<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> DerefMut for $wrapper<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }
    };
}

wrapper!(Json);
wrapper!(Params);

impl<T: DeserializeOwned> Input for Json<T> {
    const KIND: &'static str = "json";

    fn from_block(block: InputBlock) -> Result<Self> {
        from_json(&block, &format!("JSON of `{}`", type_name::<T>())).map(Json)
    }
}

impl<T: Serialize> Output for Json<T> {
    const KIND: &'static str = "json";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        // Straight into the block: no copy of a large document on the heap.
        let mut writer = port.writer(1024)?;
        serde_json::to_writer(&mut writer, &self.0).map_err(|error| {
            Error::output(format!("`{}` cannot be written as JSON", type_name::<T>())).because(error)
        })?;
        writer.finish(format::JSON, "")
    }
}

impl<T: DeserializeOwned> Input for Params<T> {
    const KIND: &'static str = "json";
    const PARAMETER: bool = true;

    fn from_block(block: InputBlock) -> Result<Self> {
        from_json(&block, &format!("parameters of `{}`", type_name::<T>()))
            .map(Params)
            .map_err(|error| error.with_hint("change the parameters, or the type behind `Params`"))
    }
}

/// The type's name without the path before it.
fn type_name<T>() -> String {
    crate::short_type_name::<T>()
}
