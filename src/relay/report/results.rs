//! The latest result on its way to the server: at most one at a time, and what came in the meantime counts as one.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::News;
use super::client::{Client, Said};
use super::pause::Pause;
use crate::wire::report::Taken;

/// Least time between two results: each costs the API server a read, and a person sees no difference.
const GAP: Duration = Duration::from_millis(500);

/// Sends results.
#[derive(Debug)]
pub(super) struct Results<'a> {
    client: &'a Client,
    news: News,
    pause: Pause,
    /// Whether this relay has nothing to report any more.
    over: bool,
}

/// What follows from an answer.
struct Next {
    /// Nothing is sent before, whatever comes.
    rest: Duration,
    /// The latest result is sent again after this time, also where it is still the same.
    again: Option<Duration>,
    /// The result did not arrive, and may the next time.
    failed: bool,
}

impl<'a> Results<'a> {
    pub(super) fn new(client: &'a Client, news: News) -> Self {
        Self {
            client,
            news,
            pause: Pause::default(),
            over: false,
        }
    }

    /// Sends each result until the relay ends or has nothing to report any more.
    pub(super) async fn follow(&mut self) {
        let mut news = self.news.clone();
        let mut again: Option<Instant> = None;
        while !self.over {
            let mut results = self.news.results.clone();
            let round = async {
                tokio::select! {
                    _ = results.changed() => {}
                    () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
                }
                let next = self.send("result").await;
                sleep(next.rest).await;
                next.again
                    .map(|wait| Instant::now() + wait.saturating_sub(next.rest))
            };
            match news.unless_ending(round).await {
                Some(when) => again = when,
                None => return,
            }
        }
    }

    /// Sends the result with which the relay ends; false where it is worth another try.
    pub(super) async fn last(&mut self) -> bool {
        self.over || !self.send("result?last=true").await.failed
    }

    /// Sends the latest result. One that comes during the request or the rest after it is a new one.
    async fn send(&mut self, what: &str) -> Next {
        let mut next = Next {
            rest: GAP,
            again: None,
            failed: false,
        };
        let Some(result) = self.news.results.borrow_and_update().clone() else {
            return next;
        };
        match self.client.put::<Taken>(what, result.to_bytes()).await {
            Said::Yes(taken) => {
                if self.pause.over() {
                    tracing::info!("the operator takes results again");
                }
                next.again = taken.again_in.map(Duration::from_secs);
            }
            Said::Conflict(_) => {
                self.pause.over();
                tracing::debug!(
                    sequence = result.sequence,
                    "a result was older than the one on record"
                );
            }
            Said::Over(why) => {
                self.over = true;
                tracing::warn!(%why, "the operator takes no results of this relay any more");
            }
            Said::Never(why) => tracing::error!(%why, "the operator does not take a result"),
            Said::Later(why) => {
                if self.pause.is_first() {
                    tracing::warn!(%why, "a result did not reach the operator; trying again");
                } else {
                    tracing::debug!(%why, "a result did not reach the operator");
                }
                next.failed = true;
                next.rest = self.pause.next();
                next.again = Some(next.rest);
            }
        }
        next
    }
}
