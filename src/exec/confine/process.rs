//! What a process may do to the machine: resource limits, privileges, capabilities, its place in the memory queue.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::SigSet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::ConfineError;

/// Open files that a program may have, where the system allows as many.
const OPEN_FILES: u64 = 65_536;
/// The kernel ends executed code before anything else when memory is short: from 0 to 1000.
const OOM_SCORE: &str = "900";

/// Sets limits, leaves the executor's session and clears the signal mask that this process was born with.
pub(super) fn limits() -> Result<(), ConfineError> {
    rustix::process::setsid().map_err(ConfineError::step("cannot start a session"))?;
    SigSet::empty()
        .thread_set_mask()
        .map_err(ConfineError::step("cannot clear the signal mask"))?;
    let limit = |value| Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    // A core dump of a program with the data in memory is of use to nobody and large.
    setrlimit(Resource::Core, limit(0)).map_err(ConfineError::step("cannot forbid core dumps"))?;
    // POSIX message queues outlive their process; there is no file to remove them by.
    setrlimit(Resource::Msgqueue, limit(0)).map_err(ConfineError::step("cannot forbid message queues"))?;
    let files = getrlimit(Resource::Nofile);
    let most = files.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    setrlimit(Resource::Nofile, limit(most)).map_err(ConfineError::step("cannot limit open files"))?;
    // Not every container lets it be raised, and nothing depends on it.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}

/// Gives up gaining privileges by executing a file, for ever.
pub(super) fn no_new_privs() -> Result<(), ConfineError> {
    set_no_new_privs(true).map_err(ConfineError::step("cannot set no_new_privs"))
}

/// Gives up every capability, now and after `execve`.
pub(super) fn drop_capabilities() -> Result<(), ConfineError> {
    for capability in CapabilitySet::all().iter() {
        // Refused without CAP_SETPCAP; but who has no capability, and no_new_privs, gains none from the bounding set.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets).map_err(ConfineError::step("cannot drop capabilities"))
}

/// Reads in `/proc/self/status` whether all of it is so.
pub(super) fn prove() -> Result<(), ConfineError> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(ConfineError::step("cannot read /proc/self/status"))?;
    let fields: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name, value.trim())))
        .collect();
    let capabilities = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|name| (name, "0000000000000000"));
    let expected = [("NoNewPrivs", "1"), ("Seccomp", "2")]
        .into_iter()
        .chain(capabilities);
    for (name, value) in expected {
        let found = fields.get(name).copied().unwrap_or("absent");
        if found != value {
            return Err(ConfineError::Unproven(format!(
                "the kernel says {name}: {found} in place of {value}"
            )));
        }
    }
    Ok(())
}
