//! What is known of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;

use super::layout::make;
use super::lock::{Lock, try_lock};
use super::unready::{Doing, Unready};

/// First user id for executed code where the runner is root; one for each episode that runs at the same time.
const FIRST_USER: u32 = 61_000;
/// Number of such user ids.
const USERS: u32 = 1_000;

/// CPUs that this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory in bytes that this process may use: the machine's, or less where a control group has less. `None` where the
/// system does not tell.
pub fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|meminfo| memory_in(&meminfo));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = group_limits(&groups, Path::new("/sys/fs/cgroup"));
    machine.into_iter().chain(limits).min()
}

/// Memory limits of the control groups that `/proc/self/cgroup` names, and of those around them. Each line is
/// `number:controllers:path`; version 2 has no controllers there. In a container the path may be the host's, and what
/// is mounted at `root` the container's own group.
fn group_limits(groups: &str, root: &Path) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            some if some.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A number; "max" in version 2 where there is no limit.
        let limit = |group: &Path| -> Option<u64> {
            fs::read_to_string(top.join(group).join(file))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let group = Path::new(path.trim_start_matches('/'));
        limits.extend(group.ancestors().filter_map(limit));
    }
    limits
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

/// Does something during which every file that is made is for this user alone, where this user is root: executed code
/// runs under other users then, and they can pass through an episode's directory.
pub fn privately<T>(act: impl FnOnce() -> T) -> T {
    if !is_root() {
        return act();
    }
    let before = umask(Mode::RWXG | Mode::RWXO);
    let done = act();
    umask(before);
    done
}

/// Takes a free user id for executed code. `None` where this process cannot change users, being in a user namespace
/// that has no such ids. `cache` holds the locks where `/run` cannot.
pub fn take_user(cache: &Path) -> Result<Option<User>, Unready> {
    const MAP: &str = "/proc/self/uid_map";
    let map = fs::read_to_string(MAP).doing(|| format!("read {MAP}"))?;
    let mut locks = PathBuf::from("/run/dojo-users");
    if make(&locks, 0o700).is_err() {
        locks = cache.join("users");
        fs::create_dir_all(&locks).doing(|| format!("create {}", locks.display()))?;
    }
    let ids: Vec<u32> = (FIRST_USER..FIRST_USER + USERS)
        .filter(|id| is_mapped(&map, *id))
        .collect();
    take_of(&ids, &locks)
}

fn take_of(ids: &[u32], locks: &Path) -> Result<Option<User>, Unready> {
    for &id in ids {
        let file = locks.join(id.to_string());
        if let Ok(lock) = try_lock(&file).doing(|| format!("lock {}", file.display()))? {
            return Ok(Some(User { id, _lock: lock }));
        }
    }
    match (ids.first(), ids.last()) {
        (Some(first), Some(last)) => Err(Unready::machine(
            "NoFreeUser",
            format!(
                "code of each episode runs under a user id of its own, and all {} from {first} to {last} are taken by \
                 other episodes on this machine (locks in {}): wait for the end of some, or run fewer at one time by \
                 --parallel",
                ids.len(),
                locks.display()
            ),
        )),
        _ => Ok(None),
    }
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
    fn the_least_limit_of_the_own_control_group_and_those_around_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("user/run/memory.max", "max\n");
        write("user/memory.max", "4096\n");
        write("other/memory.max", "1\n");
        write("memory/job/memory.limit_in_bytes", "8192\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limits = |groups| group_limits(groups, root.path());
        assert_eq!(limits("0::/user/run\n"), [4096]);
        assert_eq!(
            limits("5:cpu,cpuacct:/other\n4:memory:/job\n0::/\n"),
            [8192, 9_223_372_036_854_771_712]
        );
        // The host's path, of which a container sees nothing but its own group.
        assert_eq!(limits("4:memory:/docker/abc\n"), [9_223_372_036_854_771_712]);
        assert!(limits("").is_empty());
    }

    #[test]
    fn when_all_user_ids_are_taken_code_is_not_run_as_root_instead() {
        let locks = tempfile::tempdir().unwrap();
        let first = take_of(&[7, 8], locks.path()).unwrap().unwrap();
        let second = take_of(&[7, 8], locks.path()).unwrap().unwrap();
        assert_eq!((first.id, second.id), (7, 8));
        let refused = take_of(&[7, 8], locks.path()).unwrap_err();
        assert_eq!(refused.reason, "NoFreeUser");
        assert!(
            refused.message.contains("all 2 from 7 to 8"),
            "{}",
            refused.message
        );
        drop(first);
        assert_eq!(take_of(&[7, 8], locks.path()).unwrap().unwrap().id, 7);
        assert!(take_of(&[], locks.path()).unwrap().is_none());
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
