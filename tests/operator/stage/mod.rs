//! Where a test plays: a namespace that comes and goes, waits with deadlines, and what is printed when one is in vain.

pub mod audit_log;
mod diagnosis;
pub mod fixtures;
pub mod operator;
pub mod recorder;
mod space;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::RwLock;
use std::time::Duration;

use futures::FutureExt;

pub use space::Space;

/// Time for a pod of an episode to be made, scheduled and started, on a machine that has much else to do.
pub const START: Duration = Duration::from_secs(180);
/// Time for an episode of a few short steps from its creation to its end.
pub const EPISODE: Duration = Duration::from_secs(300);
/// Time for what follows at once from something else.
pub const SOON: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Whether other tests may play at the same time.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// They may.
    Shared,
    /// They may not: the operator is disturbed, or all CPUs and GPUs are needed.
    Alone,
}

/// The tests are threads of one process.
static CLUSTER: RwLock<()> = RwLock::new(());

/// Plays `test` in a fresh namespace, which goes afterwards, also after a failure.
pub fn play(prefix: &str, access: Access, test: impl AsyncFnOnce(&Space)) {
    // A test that failed poisons nothing for the others.
    let (_shared, _alone) = match access {
        Access::Shared => (
            Some(CLUSTER.read().unwrap_or_else(|held| held.into_inner())),
            None,
        ),
        Access::Alone => (
            None,
            Some(CLUSTER.write().unwrap_or_else(|held| held.into_inner())),
        ),
    };
    // Two crates with different defaults may be in the tree; the first one to say it wins.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let space = Space::create(prefix).await;
            if matches!(access, Access::Alone) {
                space.others_are_gone().await;
            }
            let played = AssertUnwindSafe(test(&space)).catch_unwind().await;
            if played.is_err() {
                diagnosis::print(&space).await;
            }
            space.remove().await;
            if let Err(failure) = played {
                resume_unwind(failure);
            }
        });
}

/// Asks every quarter of a second until there is an answer.
pub async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let answer = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| panic!("waited {} s in vain: {what}", limit.as_secs()))
}

/// Says why a test does nothing here.
pub fn skip(why: &str) {
    println!("skipped: {why}");
}

/// A variable of the environment that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
