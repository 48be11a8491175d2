//! Separate network and mounts for one program, in a user namespace, for which no privilege is needed where the system
//! allows such namespaces at all.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use rustix::process::{chdir, getegid, geteuid};

use super::ConfineError;

/// Leaves the machine's network for one with a loopback interface only, and puts one directory over another.
pub(super) fn enter(network: bool, bind: Option<&(PathBuf, PathBuf)>) -> Result<(), ConfineError> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mut flags = CloneFlags::CLONE_NEWUSER;
    flags.set(CloneFlags::CLONE_NEWNET, network);
    flags.set(CloneFlags::CLONE_NEWNS, bind.is_some());
    unshare(flags).map_err(ConfineError::step("cannot make a user namespace"))?;
    map_self(uid, gid)?;
    if let Some((from, to)) = bind {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(ConfineError::step("cannot separate the mounts"))?;
        mount_bind(from, to).map_err(ConfineError::step("cannot mount the copy over the workspace"))?;
        // The working directory is still the one below the mount.
        chdir(to).map_err(ConfineError::step("cannot enter the copy"))?;
    }
    if network {
        raise_loopback()?;
    }
    Ok(())
}

/// Keeps user and group as they are in the new user namespace.
pub(in crate::exec) fn map_self(uid: u32, gid: u32) -> Result<(), ConfineError> {
    let write = |file, text: String| fs::write(file, text);
    write("/proc/self/setgroups", "deny".into())
        .map_err(ConfineError::step("cannot close the group list"))?;
    write("/proc/self/uid_map", format!("{uid} {uid} 1"))
        .map_err(ConfineError::step("cannot map the user"))?;
    write("/proc/self/gid_map", format!("{gid} {gid} 1")).map_err(ConfineError::step("cannot map the group"))
}

/// Sets the loopback interface up: one netlink message (RTM_NEWLINK, index 1, IFF_UP) and its acknowledgement.
fn raise_loopback() -> Result<(), ConfineError> {
    const LENGTH: u32 = 32;
    const NEW_LINK: u16 = 16;
    const REQUEST_WITH_ANSWER: u16 = 1 | 4;
    const LOOPBACK: i32 = 1;
    const UP: u32 = 1;
    const ERROR_AT: usize = 16;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_WITH_ANSWER.to_ne_bytes());
    message.extend([0; 8]); // sequence number and port: the kernel's
    message.extend([0; 4]); // family, padding, type: any
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    let exchange = || -> io::Result<()> {
        let link = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        sendto(&link, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 256];
        let (length, _) = recv(&link, &mut answer, RecvFlags::empty())?;
        let code = answer[..length.min(answer.len())]
            .get(ERROR_AT..)
            .and_then(|bytes| bytes.first_chunk());
        match code.copied().map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    exchange().map_err(ConfineError::step("cannot set the loopback interface up"))
}
