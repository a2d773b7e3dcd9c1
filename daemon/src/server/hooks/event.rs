//! The events that hooks may ask for.
#![forbid(unsafe_code)]

/// An event's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HookEventName {
    /// The plugins were loaded.
    AfterGenerationLoaded,
    /// A run's datasets are known.
    AfterCatalogCreated,
    /// A run is about to begin.
    BeforePipelineRun,
    /// A run succeeded.
    AfterPipelineRun,
    /// A run did not succeed.
    OnPipelineError,
    /// A node is about to be called.
    BeforeNodeRun,
    /// A node's call succeeded.
    AfterNodeRun,
    /// A node's call failed.
    OnNodeError,
    /// A dataset is about to be loaded.
    BeforeDatasetLoaded,
    /// A dataset was loaded.
    AfterDatasetLoaded,
    /// A dataset is about to be saved.
    BeforeDatasetSaved,
    /// A dataset was saved.
    AfterDatasetSaved,
    /// A dataset could not be loaded or saved.
    OnDatasetError,
}

impl HookEventName {
    /// All of them.
    pub const ALL: [HookEventName; 13] = [
        HookEventName::AfterGenerationLoaded,
        HookEventName::AfterCatalogCreated,
        HookEventName::BeforePipelineRun,
        HookEventName::AfterPipelineRun,
        HookEventName::OnPipelineError,
        HookEventName::BeforeNodeRun,
        HookEventName::AfterNodeRun,
        HookEventName::OnNodeError,
        HookEventName::BeforeDatasetLoaded,
        HookEventName::AfterDatasetLoaded,
        HookEventName::BeforeDatasetSaved,
        HookEventName::AfterDatasetSaved,
        HookEventName::OnDatasetError,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            HookEventName::AfterGenerationLoaded => "after_generation_loaded",
            HookEventName::AfterCatalogCreated => "after_catalog_created",
            HookEventName::BeforePipelineRun => "before_pipeline_run",
            HookEventName::AfterPipelineRun => "after_pipeline_run",
            HookEventName::OnPipelineError => "on_pipeline_error",
            HookEventName::BeforeNodeRun => "before_node_run",
            HookEventName::AfterNodeRun => "after_node_run",
            HookEventName::OnNodeError => "on_node_error",
            HookEventName::BeforeDatasetLoaded => "before_dataset_loaded",
            HookEventName::AfterDatasetLoaded => "after_dataset_loaded",
            HookEventName::BeforeDatasetSaved => "before_dataset_saved",
            HookEventName::AfterDatasetSaved => "after_dataset_saved",
            HookEventName::OnDatasetError => "on_dataset_error",
        }
    }

    fn bit(self) -> u32 {
        1 << (self as u8)
    }
}

/// A set of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSet(u32);

impl EventSet {
    /// The events of these words; unknown words (a plugin of a later version) are left out.
    pub fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> EventSet {
        let bits = words.filter_map(|word| HookEventName::ALL.into_iter().find(|event| event.word() == word));
        EventSet(bits.fold(0, |set, event| set | event.bit()))
    }

    /// Everything in either set.
    pub fn union(self, other: EventSet) -> EventSet {
        EventSet(self.0 | other.0)
    }

    /// Says whether there is none in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Says whether the event is in the set.
    pub fn has(self, event: HookEventName) -> bool {
        self.0 & event.bit() != 0
    }
}
