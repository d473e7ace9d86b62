//! What Mainstay says about itself over HTTP: `/livez`, `/readyz`, `/metrics`; and to its other replicas, what it sees.
//!
//! Liveness means that no essential task is stuck: it asks nothing of the outside world, since a restart mends
//! neither the API server nor the network. Readiness is data: it names each gate and what it waits for.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::Semaphore, time};

mod health;
mod listener;
mod metrics;
mod outlook;

pub use health::{Gate, GateReport, GateState, Liveness, Pulse, Readiness, ReadinessReport};
pub use metrics::{
    ActionResult, CacheKind, Controller, Effect, Guard, Metrics, NoticeResult, Poll, Stage, StageLabel, Verdict,
    WatchKind,
};
pub use outlook::Outlook;

/// Requests answered at once; more are told to come again.
const MAX_REQUESTS: usize = 64;
/// How long a shutdown waits for answers under way.
const FAREWELL: Duration = Duration::from_secs(5);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server stopped by itself.
    #[error("failed to serve health and metrics: {0}")]
    Serve(#[source] io::Error),
}

/// What the server tells about.
#[derive(Clone, Default)]
pub struct Vitals {
    /// Whether essential tasks move.
    pub liveness: Liveness,
    /// Whether all that must be there is there.
    pub readiness: Readiness,
    /// The numbers.
    pub metrics: Metrics,
    /// What is seen of each target.
    pub outlook: Outlook,
}

/// Listens on `address`, such as `0.0.0.0:8080`.
pub async fn listen(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address: address.to_owned(), source })
}

/// The routes and their bounds. `Router::merge` adds more under the same process.
pub fn router(vitals: Vitals) -> Router {
    let seats = Arc::new(Semaphore::new(MAX_REQUESTS));
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route(outlook::PATH, get(outlook::tell))
        .with_state(vitals)
        .layer(middleware::from_fn_with_state(seats, bounded))
}

/// Serves until `shutdown`, then ends what is under way within seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (leaving, mut left) = tokio::sync::watch::channel(());
    let stop = async move {
        shutdown.await;
        drop(leaving);
    };
    let server = axum::serve(listener::Bounded::new(listener), router).with_graceful_shutdown(stop);
    tokio::select! {
        ended = server => ended.map_err(ServeError::Serve),
        // A client that never finishes its request must not hold the process.
        () = async { while left.changed().await.is_ok() {} time::sleep(FAREWELL).await } => Ok(()),
    }
}

async fn bounded(State(seats): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match seats.try_acquire() {
        Ok(_seat) => next.run(request).await,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "busy\n").into_response(),
    }
}

async fn livez(State(vitals): State<Vitals>) -> Response {
    let stuck = vitals.liveness.stuck();
    if stuck.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::INTERNAL_SERVER_ERROR, format!("stuck: {}\n", stuck.join(", "))).into_response()
}

async fn readyz(State(vitals): State<Vitals>, uri: Uri) -> Response {
    let report = vitals.readiness.report();
    let code = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = uri
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    if verbose { (code, report.to_string()).into_response() } else { (code, axum::Json(report)).into_response() }
}

async fn metrics(State(vitals): State<Vitals>) -> Response {
    match vitals.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to write the metrics: {error}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
