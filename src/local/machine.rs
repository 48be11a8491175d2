//! What is known of this machine.

use std::fs;
use std::io;
use std::path::Path;

use super::layout::make;
use super::lock::{Lock, try_lock};

/// First user id for executed code where the runner is root; one for each episode that runs at the same time.
const FIRST_USER: u32 = 61_000;
/// Number of such user ids.
const USERS: u32 = 1_000;

/// CPUs that this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory in bytes; `None` where the system does not tell.
pub fn memory() -> Option<u64> {
    memory_in(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn memory_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// CPU model, cores and memory for the record, such as `AMD EPYC 7763, 8 cores, 31.3 GiB`.
pub fn hardware() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    describe(&cpuinfo, cpus(), memory())
}

fn describe(cpuinfo: &str, cpus: usize, memory: Option<u64>) -> String {
    let model = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == "model name")
        .map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let cores = if cpus == 1 { "core" } else { "cores" };
    match memory {
        Some(bytes) => {
            let gib = bytes as f64 / f64::from(1 << 30);
            format!("{model}, {cpus} {cores}, {gib:.1} GiB")
        }
        None => format!("{model}, {cpus} {cores}"),
    }
}

/// Name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether this process has root's rights over files and users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user id that no other episode on this machine runs code under.
#[derive(Debug)]
pub struct User {
    /// The id; the group has the same.
    pub id: u32,
    _lock: Lock,
}

/// Takes a free user id for executed code. `None` where this process cannot change users, being in a user namespace
/// that has no such ids. `cache` holds the locks where `/run` cannot.
pub fn take_user(cache: &Path) -> io::Result<Option<User>> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    let locks = Path::new("/run/dojo-users");
    let locks = if make(locks, 0o700).is_ok() {
        locks.to_owned()
    } else {
        let locks = cache.join("users");
        fs::create_dir_all(&locks)?;
        locks
    };
    for id in (FIRST_USER..FIRST_USER + USERS).filter(|id| is_mapped(&map, *id)) {
        if let Ok(lock) = try_lock(&locks.join(id.to_string()))? {
            return Ok(Some(User { id, _lock: lock }));
        }
    }
    Ok(None)
}

/// Whether a user id exists by a `uid_map`: lines of first id inside, first id outside, count.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.nth(1)) {
            (Some(Ok(first)), Some(Ok(count))) => {
                let id = u64::from(id);
                first <= id && id - first < count
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_model_are_read_as_the_kernel_writes_them() {
        let memory = memory_in("MemFree:  1 kB\nMemTotal:       32801240 kB\n");
        assert_eq!(memory, Some(32_801_240 * 1024));
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t\t: fpu\nmodel name\t: other\n";
        assert_eq!(describe(cpuinfo, 8, memory), "AMD EPYC 7763, 8 cores, 31.3 GiB");
        let unknown = describe("", 1, None);
        assert_eq!(unknown, format!("{}, 1 core", std::env::consts::ARCH));
    }

    #[test]
    fn an_id_is_mapped_only_within_a_range_of_the_map() {
        assert!(is_mapped("         0          0 4294967295\n", 61_000));
        assert!(!is_mapped("0 1000 1\n1 100000 65536\n", 65_537));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n", 61_000));
        assert!(!is_mapped("0 1000 1\n", 61_000));
        assert!(!is_mapped("", 61_000));
    }
}
