//! What this replica sees of one target, for the other replicas of its installation. Whoever asks must know the uids of
//! a policy and of a pod, and learns no more than whether that pod answers here.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::Vitals;
use crate::signal::Testimony;

/// Where it is asked for.
pub(super) const PATH: &str = "/vantage/{policy}/{pod}";

type Look = dyn Fn(&str, &str) -> Testimony + Send + Sync;

/// Tells what this replica sees, once it sees. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Outlook(Arc<OnceLock<Box<Look>>>);

// === impl Outlook ===

impl Outlook {
    /// From now on `look` says what is seen of a pod (uid) under a policy (uid). It must be quick; a second one is not taken.
    pub fn opens(&self, look: impl Fn(&str, &str) -> Testimony + Send + Sync + 'static) {
        drop(self.0.set(Box::new(look)));
    }
}

impl fmt::Debug for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlook").finish_non_exhaustive()
    }
}

pub(super) async fn tell(State(vitals): State<Vitals>, Path((policy, pod)): Path<(String, String)>) -> Response {
    match vitals.outlook.0.get() {
        Some(look) => axum::Json(look(&policy, &pod)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}
