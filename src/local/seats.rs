//! How many episodes run at one time.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::signals::Stop;

const MIB: u64 = 1024 * 1024;

/// Places for episodes, given away in the order in which they are asked for.
#[derive(Debug)]
pub enum Seats {
    /// This many episodes, whatever they need.
    Count(Semaphore),
    /// As many as the machine has room for.
    Room {
        /// CPUs in thousandths.
        cpu: Room,
        /// Memory in MiB.
        memory: Room,
    },
}

/// An amount that is shared out.
#[derive(Debug)]
pub struct Room {
    total: u32,
    free: Semaphore,
}

/// A place; free again when it is dropped.
#[derive(Debug)]
pub struct Seat<'a> {
    _permits: Vec<SemaphorePermit<'a>>,
}

impl Room {
    fn new(total: u64) -> Self {
        let total = u32::try_from(total).unwrap_or(u32::MAX).max(1);
        Self {
            total,
            free: Semaphore::new(total as usize),
        }
    }

    /// Who needs more than there is gets all of it, alone.
    fn share(&self, wanted: u64) -> u32 {
        u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, self.total)
    }
}

impl Seats {
    /// `parallel` as the user wants it, else by CPUs and memory (in bytes) of the machine.
    pub fn new(parallel: Option<usize>, cpus: usize, memory: Option<u64>) -> Self {
        match parallel {
            Some(count) => Self::Count(Semaphore::new(count.max(1))),
            None => Self::Room {
                cpu: Room::new(cpus as u64 * 1000),
                memory: Room::new(memory.map_or(u64::MAX, |bytes| bytes / MIB)),
            },
        }
    }

    /// Waits for a place for an episode that needs so much CPU (in thousandths) and memory (in bytes). `None` when it is
    /// time to stop.
    pub async fn take(&self, milli_cpu: u64, memory: u64, stop: &Stop) -> Option<Seat<'_>> {
        let taken = async {
            // The semaphores are never closed.
            match self {
                Self::Count(places) => vec![places.acquire().await.ok()],
                Self::Room { cpu, memory: room } => {
                    let cpu = cpu.free.acquire_many(cpu.share(milli_cpu)).await.ok();
                    let memory = room.free.acquire_many(room.share(memory / MIB)).await.ok();
                    vec![cpu, memory]
                }
            }
        };
        tokio::select! {
            permits = taken => Some(Seat {
                _permits: permits.into_iter().flatten().collect(),
            }),
            () = stop.wait() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::signals::Urgency;

    const GIB: u64 = 1024 * MIB;

    #[tokio::test]
    async fn episodes_share_the_machine_by_what_they_need() {
        let (_tell, stop) = Stop::by_hand();
        let seats = Seats::new(None, 4, Some(8 * GIB));
        let first = seats.take(2500, GIB, &stop).await;
        let second = seats.take(1500, GIB, &stop).await;
        assert!(first.is_some() && second.is_some());
        tokio::select! {
            biased;
            _ = seats.take(100, GIB, &stop) => panic!("there is no CPU left"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        let third = seats.take(100, 6 * GIB, &stop).await;
        assert!(third.is_some());
        tokio::select! {
            biased;
            _ = seats.take(100, 2 * GIB, &stop) => panic!("there is no memory left"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn an_episode_that_needs_more_than_there_is_runs_alone() {
        let (_tell, stop) = Stop::by_hand();
        let seats = Seats::new(None, 2, Some(GIB));
        assert!(seats.take(64_000, 64 * GIB, &stop).await.is_some());
    }

    #[tokio::test]
    async fn the_user_s_number_stands_above_needs_and_waiting_ends_with_the_run() {
        let (tell, stop) = Stop::by_hand();
        let seats = Seats::new(Some(2), 1, Some(GIB));
        let _first = seats.take(64_000, 64 * GIB, &stop).await;
        let _second = seats.take(64_000, 64 * GIB, &stop).await;
        tell.send(Urgency::Stop).unwrap();
        assert!(seats.take(1, 1, &stop).await.is_none());
    }
}
