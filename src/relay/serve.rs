//! HTTP connections on a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at one time. One agent needs a handful; the bound keeps memory and descriptors in their place.
const CONNECTIONS: usize = 256;
/// Time from one request to the end of the next one's header, so also how long a connection may idle: an agent that
/// thinks for longer opens another one.
const HEADER_TIME: Duration = Duration::from_secs(600);
/// Time for the first authorized request of a connection: strangers must not hold the places.
pub(super) const AUTHORIZATION_TIME: Duration = Duration::from_secs(10);
/// Largest header of a request in bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// Pause after an accept that failed, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether there was an authorized request on a connection; every request of it carries this as an extension.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorized(Arc<AtomicBool>);

impl Authorized {
    /// There was one.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Comes back when the time is over and there was none.
    async fn lacking(&self, time: Option<Duration>) {
        if let Some(time) = time {
            tokio::time::sleep(time).await;
            if !self.0.load(Ordering::Relaxed) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Serves `router` for ever. A connection without an authorized request within `authorization` is closed; without a
/// limit the router wants none.
pub(super) async fn serve(listener: TcpListener, router: Router, authorization: Option<Duration>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let service = TowerToHyperService::new(router);
    loop {
        // The semaphore is never closed, so there is always a place in the end.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Replies are single small writes; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let authorized = Authorized::default();
        let service = service_fn({
            let (service, authorized) = (service.clone(), authorized.clone());
            move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(authorized.clone());
                service.call(request)
            }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .max_buf_size(HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                served = connection => if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = authorized.lacking(authorization) => {
                    tracing::debug!("a connection without an authorized request is closed");
                }
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn only_a_connection_with_an_authorized_request_may_stay() {
        const STRANGER: &[u8] = b"GET /stranger HTTP/1.1\r\nHost: x\r\n\r\n";
        const FRIEND: &[u8] = b"GET /friend HTTP/1.1\r\nHost: x\r\n\r\n";
        let router = Router::new().route("/stranger", get(async || "no")).route(
            "/friend",
            get(async |Extension(connection): Extension<Authorized>| connection.set()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, router, Some(Duration::from_millis(200))));
        let mut friend = TcpStream::connect(address).await.unwrap();
        friend.write_all(FRIEND).await.unwrap();
        assert!(friend.read(&mut [0; 1024]).await.unwrap() > 0);
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(STRANGER).await.unwrap();
        tokio::time::timeout(AUTHORIZATION_TIME, async {
            silent.read_to_end(&mut Vec::new()).await.unwrap();
            stranger.read_to_end(&mut Vec::new()).await.unwrap();
        })
        .await
        .unwrap();
        friend.write_all(FRIEND).await.unwrap();
        assert!(friend.read(&mut [0; 1024]).await.unwrap() > 0);
    }
}
