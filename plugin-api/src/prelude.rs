//! All that most plugins need: `use plugin_api::prelude::*`.

#[doc(no_inline)]
pub use crate::{
    Array, Block, Bytes, Chunks, Context, Dataset, Error, Hook, Input, Output, OutputPort, Outputs, Partitioned,
    Partitions, Result, Text, Written, bail,
    dataset::{ChunkSession, DatasetRequest, LoadRequest, SaveRequest},
    ensure,
    error::ResultExt as _,
    hook::{
        AfterCatalogCreated, AfterDatasetLoaded, AfterDatasetSaved, AfterGenerationLoaded, AfterNodeRun,
        AfterPipelineRun, BeforeDatasetLoaded, BeforeDatasetSaved, BeforeNodeRun, BeforePipelineRun, Blocks,
        HookOptions, NodeInputs, OnDatasetError, OnNodeError, OnPipelineError,
    },
    manifest::OptionManifest,
};
#[cfg(feature = "json")]
#[doc(no_inline)]
pub use crate::{Json, Params};
#[cfg(feature = "arrow")]
#[doc(no_inline)]
pub use crate::{LazyTable, Table, arrow::array::RecordBatch};
#[doc(no_inline)]
pub use log::{self, debug, error, info, trace, warn};
#[doc(no_inline)]
pub use plugin_api_macros::{hook, node, plugin};
#[cfg(feature = "schema")]
#[doc(no_inline)]
pub use schemars::JsonSchema;
#[doc(no_inline)]
pub use serde::{Deserialize, Serialize};
