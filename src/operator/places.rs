//! Places for connections on a listener: so many in all, and so many for one peer, so that one pod cannot take them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pause after an accept that failed, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections by peer.
type Peers = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    peers: Peers,
    each: usize,
}

impl Places {
    /// `all` connections at one time, `each` from one address.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            peers: Peers::default(),
            each,
        }
    }

    /// The next connection. Where all places are taken it waits; one of a peer that has its share already is closed.
    pub(super) async fn accept(&self, listener: &TcpListener) -> (TcpStream, Place) {
        // The semaphore is never closed, so there is always a place in the end.
        let permit = Arc::clone(&self.all).acquire_owned().await.ok();
        loop {
            match listener.accept().await {
                Ok((stream, address)) => match Share::of(&self.peers, address.ip(), self.each) {
                    Some(share) => {
                        let place = Place {
                            _permit: permit,
                            _share: share,
                        };
                        return (stream, place);
                    }
                    None => tracing::debug!(%address, "a connection too many of one peer is closed"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    _share: Share,
}

/// One of a peer's connections.
#[derive(Debug)]
struct Share {
    peers: Peers,
    peer: IpAddr,
}

impl Share {
    fn of(peers: &Peers, peer: IpAddr, most: usize) -> Option<Self> {
        let peer = peer.to_canonical();
        let mut counts = peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        let peers = Arc::clone(peers);
        Some(Self { peers, peer })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_share_and_is_forgotten_with_its_last_connection() {
        let peers = Peers::default();
        let share = |peer: &str| Share::of(&peers, peer.parse().unwrap(), 2);
        let (one, two) = (share("10.0.0.1"), share("::ffff:10.0.0.1"));
        assert!(one.is_some() && two.is_some());
        assert!(share("10.0.0.1").is_none());
        assert!(share("10.0.0.2").is_some());
        drop(one);
        assert!(share("10.0.0.1").is_some());
        drop(two);
        assert!(peers.lock().unwrap().is_empty());
    }
}
