//! TLS connections on the report server's listener.

use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::tls::{self, CertificateUser};
use crate::operator::places::Places;

/// Connections at one time. A relay has two while it has something to tell.
const CONNECTIONS: usize = 4096;
/// Connections from one address. A pod has an address of its own; where the network hides it behind the node's, this is for
/// the relays of one node, and one that finds no place comes again.
const PEER_CONNECTIONS: usize = 64;
/// Time for the TLS handshake: whoever says nothing must not hold a place for long.
const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
/// Time from one request to the end of the next one's header, so also how long a connection may idle.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Longest life of a connection; who reads more slowly comes again.
const CONNECTION_TIME: Duration = Duration::from_secs(60 * 60);
/// Largest header of a request in bytes; a token may have some kilobytes.
const HEADER_BYTES: usize = 32 * 1024;

/// Who is at the other end, by a client certificate; every request carries it as an extension.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) Option<CertificateUser>);

/// Serves `router` for ever.
pub(super) async fn serve(listener: TcpListener, authority: &Authority, router: Router) {
    let places = Places::new(CONNECTIONS, PEER_CONNECTIONS);
    let service = TowerToHyperService::new(router);
    loop {
        let (stream, place) = places.accept(&listener).await;
        let acceptor = TlsAcceptor::from(authority.tls());
        let connection = connection(stream, acceptor, service.clone());
        tokio::spawn(async move {
            if tokio::time::timeout(CONNECTION_TIME, connection).await.is_err() {
                tracing::debug!("a connection has lived long enough");
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, service: TowerToHyperService<Router>) {
    // Answers are single small writes; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let shown = stream.get_ref().1.peer_certificates();
    let caller = Caller(shown.and_then(|chain| tls::user(chain.first()?)));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        service.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
