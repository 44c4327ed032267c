//! ScaledJob: Jobs started for the work that event sources hold.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ObjectMeta, PodTemplate, ScaledJobStatus, Trigger};

/// Starts Jobs as events come in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScaledJob {
    /// Metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: ScaledJobSpec,
    /// What was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ScaledJobStatus>,
}

/// What a ScaledJob asks for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaledJobSpec {
    /// The `batch/v1` JobSpec of the Jobs, as written.
    pub job_target_ref: Value,
    /// Seconds between polls of the triggers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_interval: Option<i32>,
    /// Successful Jobs to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successful_jobs_history_limit: Option<i32>,
    /// Failed Jobs to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_jobs_history_limit: Option<i32>,
    /// Deprecated; wins over `rollout.strategy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_strategy: Option<String>,
    /// What happens to running Jobs when the ScaledJob changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Container whose environment the triggers read; the first one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_source_container_name: Option<String>,
    /// Fewest running Jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replica_count: Option<i32>,
    /// Most running Jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replica_count: Option<i32>,
    /// How the number of new Jobs is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling_strategy: Option<ScalingStrategy>,
    /// The event sources.
    pub triggers: Vec<Trigger>,
}

/// What happens to running Jobs when a ScaledJob changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// `gradual` keeps them; `immediate` (the default) deletes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// `background` (the default) or `foreground`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<String>,
}

/// How the number of new Jobs is computed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingStrategy {
    /// `default`, `custom`, `accurate` or `eager`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Jobs taken off the queue length (custom).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_scaling_queue_length_deduction: Option<i32>,
    /// Share of the running Jobs taken off, a number as text (custom).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_scaling_running_job_percentage: Option<String>,
    /// Pod conditions that a Job must meet to count as no longer pending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending_pod_conditions: Vec<String>,
    /// `max` (the default), `min`, `avg` or `sum` over the triggers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiple_scalers_calculation: Option<String>,
}

impl ScaledJobSpec {
    /// Seconds between polls: 30 unless set.
    pub fn polling_interval(&self) -> i32 {
        self.polling_interval.unwrap_or(30)
    }

    /// Fewest running Jobs: 0 unless set, and never above the maximum.
    pub fn min_replica_count(&self) -> i32 {
        self.min_replica_count.unwrap_or(0).min(self.max_replica_count())
    }

    /// Most running Jobs: 100 unless set.
    pub fn max_replica_count(&self) -> i32 {
        self.max_replica_count.unwrap_or(100)
    }

    /// Successful Jobs to keep: 100 unless set.
    pub fn successful_jobs_history_limit(&self) -> i32 {
        self.successful_jobs_history_limit.unwrap_or(100)
    }

    /// Failed Jobs to keep: 100 unless set.
    pub fn failed_jobs_history_limit(&self) -> i32 {
        self.failed_jobs_history_limit.unwrap_or(100)
    }

    /// The rollout strategy; the deprecated field wins.
    pub fn rollout_strategy(&self) -> Option<&str> {
        let rollout = self.rollout.as_ref().and_then(|rollout| rollout.strategy.as_deref());
        self.rollout_strategy.as_deref().filter(|strategy| !strategy.is_empty()).or(rollout)
    }

    /// The pod template of the Jobs; an empty one when it cannot be read.
    pub fn pod_template(&self) -> PodTemplate {
        let template = self.job_target_ref.get("template").cloned().unwrap_or_default();
        serde_json::from_value(template).unwrap_or_default()
    }
}
