//! Own mounts, process numbers and System V objects: directly as root, in a user namespace otherwise.

use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities,
};

use crate::exec::confine;

/// Makes the namespaces. The next child is process 1 of the new process numbers.
pub(super) fn enter() -> Result<(), String> {
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return unshare(own).map_err(|error| format!("cannot make namespaces: {error}"));
    }
    unshare(own | CloneFlags::CLONE_NEWUSER)
        .map_err(|error| format!("cannot make a user namespace: {error}"))?;
    confine::map_self(uid.as_raw(), gid.as_raw()).map_err(|error| error.to_string())?;
    keep_mounting().map_err(|error| format!("cannot keep the right to mount: {error}"))
}

/// Lets the next program mount although its user is not root: the only capability that is kept.
fn keep_mounting() -> rustix::io::Result<()> {
    let mounting = CapabilitySet::SYS_ADMIN;
    let sets = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            inheritable: mounting,
            ..sets
        },
    )?;
    configure_capability_in_ambient_set(mounting, true)
}

/// Lets the next program start without the capabilities that were kept.
pub(super) fn give_up_capabilities() -> Result<(), String> {
    clear_ambient_capability_set()
        .and_then(|()| capabilities(None))
        .and_then(|sets| {
            set_capabilities(
                None,
                CapabilitySets {
                    inheritable: CapabilitySet::empty(),
                    ..sets
                },
            )
        })
        .map_err(|error| format!("cannot give up capabilities: {error}"))
}
