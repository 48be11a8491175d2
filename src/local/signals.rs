//! Ctrl-C, SIGTERM and SIGHUP: once to stop in order, twice to stop at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How much of a hurry there is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Urgency {
    /// Go on.
    None,
    /// Stop, each process with its grace.
    Stop,
    /// Kill what is left.
    AtOnce,
}

/// Whether to stop; clones see the same.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Urgency>);

impl Stop {
    /// Listens to the signals from now on.
    pub fn listen() -> io::Result<Self> {
        let (tell, told) = watch::channel(Urgency::None);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                tell.send_modify(|urgency| {
                    *urgency = if *urgency == Urgency::None {
                        Urgency::Stop
                    } else {
                        Urgency::AtOnce
                    };
                });
            }
        });
        Ok(Self(told))
    }

    /// One that never comes, with the hand that makes it come.
    #[cfg(test)]
    pub fn by_hand() -> (watch::Sender<Urgency>, Self) {
        let (tell, told) = watch::channel(Urgency::None);
        (tell, Self(told))
    }

    /// Whether to stop.
    pub fn requested(&self) -> bool {
        *self.0.borrow() >= Urgency::Stop
    }

    /// Waits until it is time to stop.
    pub async fn wait(&self) {
        self.reached(Urgency::Stop).await;
    }

    /// Waits until what is left must be killed.
    pub async fn at_once(&self) {
        self.reached(Urgency::AtOnce).await;
    }

    async fn reached(&self, least: Urgency) {
        let mut told = self.0.clone();
        if told.wait_for(|urgency| *urgency >= least).await.is_err() {
            // Nobody is left who could tell.
            std::future::pending::<()>().await;
        }
    }
}
