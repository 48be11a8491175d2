//! The processes that descend from the executor: who they are, what they use, and their end.
//!
//! The executor is the reaper of orphans, so a process that leaves its session or its parent still descends from it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, kill_process_group, waitid,
    waitpid,
};

/// Makes this process the reaper of orphans among its descendants.
pub(super) fn become_reaper() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(getpid()))
}

/// The descendants of this process. Processes that are born meanwhile may be missing.
pub(super) fn descendants() -> Vec<Pid> {
    let own = getpid();
    let mut found = Vec::new();
    let mut parents = vec![own];
    if !Path::new("/proc/thread-self/children").exists() {
        return descendants_by_parent(own);
    }
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            found.push(child);
            parents.push(child);
        }
    }
    found
}

/// The children of a process, as the kernel lists them for each of its threads.
fn children(parent: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
    threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// For kernels without lists of children: by the parent that each process names.
fn descendants_by_parent(own: Pid) -> Vec<Pid> {
    let mut by_parent: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The name before it is in parentheses and may hold anything.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            by_parent.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![own.as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        for child in by_parent.remove(&parent).unwrap_or_default() {
            found.extend(Pid::from_raw(child));
            parents.push(child);
        }
    }
    found
}

/// Asks all descendants to end; those that are stopped are woken, to hear of it.
pub(super) fn terminate() {
    for pid in descendants() {
        // Gone already.
        let _ = kill_process(pid, Signal::TERM);
        let _ = kill_process(pid, Signal::CONT);
    }
}

/// Kills all descendants that are seen. Where the executor has process numbers of its own (`alone`), everything but
/// the executor at one stroke, so that nothing can be born meanwhile; otherwise first the program's process group,
/// which is at one stroke too.
pub(super) fn kill(alone: bool, group: Option<Pid>) {
    if alone {
        let everything = nix::unistd::Pid::from_raw(-1);
        // No such process: there is nothing left.
        let _ = nix::sys::signal::kill(everything, nix::sys::signal::Signal::SIGKILL);
        return;
    }
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    for pid in descendants() {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Whether `pid` has ended and waits to be reaped.
pub(super) fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// Reaps the orphans that have ended. `kept` is left for its owner to reap.
pub(super) fn reap_orphans(kept: Option<Pid>) {
    for pid in children(getpid()) {
        if Some(pid) != kept {
            // Another call may have reaped it; one that runs is no matter.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Whether this process has no child at all, not even an ended one: then nothing descends from it.
pub(super) fn is_empty() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

/// What the descendants use at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Use {
    /// Processes.
    pub processes: usize,
    /// Memory in bytes; what processes share is counted for each of them.
    pub memory: Memory,
    /// Greatest resident memory that one of them has had, in bytes.
    pub peak: u64,
}

/// Memory that belongs to processes and not to files on disk, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Memory {
    /// Anonymous memory.
    pub anonymous: u64,
    /// Mapped shared memory.
    pub shared: u64,
}

/// Measures what the descendants use.
pub(super) fn measure() -> Use {
    let mut used = Use::default();
    for pid in descendants() {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())) else {
            continue;
        };
        used.processes += 1;
        used.memory.anonymous += kilobytes(&status, "RssAnon:");
        used.memory.shared += kilobytes(&status, "RssShmem:");
        used.peak = used.peak.max(kilobytes(&status, "VmHWM:"));
    }
    used
}

/// Memory of the descendants, what they share counted once. Slow for large programs: the kernel walks their page
/// tables.
pub(super) fn memory() -> Memory {
    let mut memory = Memory::default();
    for pid in descendants() {
        let file = |name| fs::read_to_string(format!("/proc/{}/{name}", pid.as_raw_nonzero()));
        if let Ok(text) = file("smaps_rollup") {
            memory.anonymous += kilobytes(&text, "Pss_Anon:");
            memory.shared += kilobytes(&text, "Pss_Shmem:");
        } else if let Ok(text) = file("status") {
            memory.anonymous += kilobytes(&text, "RssAnon:");
            memory.shared += kilobytes(&text, "RssShmem:");
        }
    }
    memory
}

/// The value of a line such as `RssAnon:     1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_ascii_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
        .map_or(0, |kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_finding_descendants_find_a_child() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(children(getpid()).contains(&pid));
        assert!(descendants().contains(&pid));
        assert!(descendants_by_parent(getpid()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants().contains(&pid));
    }

    #[test]
    fn a_size_is_read_in_bytes() {
        assert_eq!(kilobytes("VmHWM:\t    12 kB\nRssAnon:  3 kB\n", "RssAnon:"), 3072);
        assert_eq!(kilobytes("", "RssAnon:"), 0);
    }
}
