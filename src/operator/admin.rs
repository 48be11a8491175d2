//! Health and metrics, for kubelet and Prometheus; without a secret in it, so without a token.

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use super::places::Places;
use super::readiness::Readiness;
use crate::metrics::{CONTENT_TYPE, OperatorMetrics};

/// Connections at one time; kubelet and a Prometheus or two need a handful.
const CONNECTIONS: usize = 64;
/// Connections from one address.
const PEER_CONNECTIONS: usize = 16;
/// Time for the header of a request.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// Longest life of a connection. It serves one request, so that nobody holds a place that kubelet's probes need.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Largest header of a request in bytes, the least that hyper can be told.
const HEADER_BYTES: usize = 8 * 1024;

/// Serves `/healthz`, `/readyz` and `/metrics` for ever.
pub(super) async fn serve(listener: TcpListener, readiness: Readiness, metrics: OperatorMetrics) {
    let places = Places::new(CONNECTIONS, PEER_CONNECTIONS);
    let service = TowerToHyperService::new(router(readiness, metrics));
    loop {
        let (stream, place) = places.accept(&listener).await;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(CONNECTION_TIME, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                Err(_) => tracing::debug!("a connection has lived long enough"),
            }
            drop(place);
        });
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpSocket, TcpStream};

    use super::*;

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Readiness::new(), OperatorMetrics::new().unwrap()));
        address
    }

    async fn connect(from: u8, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// What comes until the server closes, which it must do in time.
    async fn rest(mut stream: TcpStream, time: Duration) -> String {
        let mut text = Vec::new();
        // A reset is an end too.
        let _ = tokio::time::timeout(time, stream.read_to_end(&mut text))
            .await
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    async fn probe(from: u8, to: SocketAddr, time: Duration) -> String {
        let mut stream = connect(from, to).await;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        rest(stream, time).await
    }

    #[tokio::test]
    async fn a_large_header_is_refused_and_no_connection_outlives_its_request() {
        let address = served().await;
        let mut large = connect(1, address).await;
        let header = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(9 * 1024));
        large.write_all(header.as_bytes()).await.unwrap();
        let answer = rest(large, HEADER_TIME / 2).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
            "{answer}"
        );
        let answer = probe(1, address, HEADER_TIME / 2).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("ok\n"), "{answer}");
    }

    #[tokio::test]
    async fn silent_connections_do_not_keep_probes_out() {
        let address = served().await;
        let mut held = Vec::new();
        for from in 2..6 {
            for _ in 0..PEER_CONNECTIONS {
                held.push(connect(from, address).await);
            }
        }
        // The first peer cannot have more than its share, and the places are all taken: the probe waits for the timeout.
        held.push(connect(2, address).await);
        let answer = probe(1, address, HEADER_TIME * 2).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        for stream in held {
            assert_eq!(rest(stream, HEADER_TIME * 2).await, "");
        }
    }
}
