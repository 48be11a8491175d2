//! Health and metrics, for kubelet and Prometheus; without a secret in it, so without a token.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::readiness::Readiness;
use crate::metrics::{CONTENT_TYPE, OperatorMetrics};

/// Serves `/healthz`, `/readyz` and `/metrics` for ever.
pub(super) async fn serve(listener: TcpListener, readiness: Readiness, metrics: OperatorMetrics) {
    if let Err(error) = axum::serve(listener, router(readiness, metrics)).await {
        tracing::error!(%error, "the admin server ended");
    }
}

fn router(readiness: Readiness, metrics: OperatorMetrics) -> Router {
    Router::new()
        // It answers, so it lives. What it waits for is no reason to start it anew.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || text(&metrics)))
}

fn ready(readiness: &Readiness) -> Response {
    match readiness.problem() {
        None => "ok\n".into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

fn text(metrics: &OperatorMetrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
