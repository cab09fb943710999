//! What a process answers about itself with, whatever its roles.

use std::sync::Arc;

use axum::extract::FromRef;

use super::{Attempts, Services};
use crate::config::Callers;
use crate::pipeline::Switch;
use crate::runtime::{Metrics, Readiness};

/// For probes, metrics and `/drain`, and who may call.
pub struct Own {
    /// Who may call.
    pub callers: Callers,
    /// Wrong keys, by address.
    pub attempts: Arc<Attempts>,
    /// Origins whose pages may call.
    pub cors_origins: Vec<String>,
    /// What this process begins.
    pub switch: Switch,
    /// Whether everything stands.
    pub readiness: Readiness,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

impl FromRef<Services> for Arc<Own> {
    fn from_ref(services: &Services) -> Self {
        services.own.clone()
    }
}
