//! seccomp: which system calls a process may make. Everything is allowed but what is listed here, since numeric
//! libraries use most of the kernel; what is listed reaches other processes, other networks or rarely tested code.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

use super::ConfineError;
use crate::api::NetworkMode;

/// Refused with "operation not permitted".
const FORBIDDEN: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Namespaces, mounts and files by handle.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // Keys outlive their process.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
];

/// Refused with "not implemented", so that libraries take their other way.
const ABSENT: &[i64] = &[
    // Its flags lie in memory, where a filter cannot see them; the C library falls back to clone.
    libc::SYS_clone3,
    // It opens sockets past a filter on `socket`.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // System V memory, queues and semaphores outlive their process and count for nobody.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    // Memory that no accounting of the process shows.
    libc::SYS_memfd_secret,
];

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Refused when their first argument is anything but 0, the caller itself: a child could otherwise limit its parents.
const ON_ITSELF: &[i64] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// System call numbers of the x32 ABI have this bit: the same calls under numbers that no rule below has.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Compiled<T> = Result<T, seccompiler::Error>;

/// Installs the filters on this thread.
pub(super) fn restrict(network: NetworkMode) -> Result<(), ConfineError> {
    let programs = programs(network).map_err(|error| ConfineError::Seccomp(error.to_string()))?;
    programs.iter().try_for_each(|program| {
        apply_filter(program).map_err(|error| ConfineError::Seccomp(error.to_string()))
    })
}

/// Tries a system call of each kind.
pub(super) fn prove(network: NetworkMode) -> Result<(), ConfineError> {
    let internet = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
    if network == NetworkMode::None && internet.err() != Some(Errno::PERM) {
        return Err(ConfineError::Unproven(
            "an internet socket can be made in spite of seccomp".into(),
        ));
    }
    let parent = rustix::process::getppid();
    match rustix::process::prlimit(
        parent,
        rustix::process::Resource::Core,
        rustix::process::Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    ) {
        Err(Errno::PERM) => Ok(()),
        Err(error) => Err(ConfineError::Unproven(format!(
            "limiting the parent should be refused, but says: {}",
            io::Error::from(error)
        ))),
        Ok(_) => Err(ConfineError::Unproven(
            "the parent can be limited in spite of seccomp".into(),
        )),
    }
}

/// The filters: one for each answer that a refused call gets.
fn programs(network: NetworkMode) -> Compiled<Vec<BpfProgram>> {
    let mut forbidden: Rules = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    forbidden.insert(libc::SYS_clone, namespace_bits()?);
    forbidden.insert(libc::SYS_socket, vec![rule(foreign_families(network))?]);
    for call in ON_ITSELF {
        forbidden.insert(*call, vec![rule(vec![argument(0, SeccompCmpOp::Ne, 0)])?]);
    }
    forbidden.insert(libc::SYS_setpriority, on_own_process(1)?);
    // ioprio_set counts from 1 where setpriority counts from 0.
    forbidden.insert(libc::SYS_ioprio_set, on_own_process(2)?);
    forbidden.insert(libc::SYS_ioctl, terminal_input()?);
    // 0 is the ordinary personality, 0xffffffff asks for the present one.
    let odd = vec![
        argument(0, SeccompCmpOp::Ne, 0),
        argument(0, SeccompCmpOp::Ne, 0xffff_ffff),
    ];
    forbidden.insert(libc::SYS_personality, vec![rule(odd)?]);
    let absent = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    let filters = [compile(forbidden, libc::EPERM)?, compile(absent, libc::ENOSYS)?];
    Ok(foreign_abi().into_iter().chain(filters).collect())
}

fn compile(rules: Rules, errno: i32) -> Compiled<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    Ok(BpfProgram::try_from(SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        refuse,
        arch,
    )?)?)
}

/// Matches where all conditions do.
fn rule(conditions: Vec<Compiled<SeccompCondition>>) -> Compiled<SeccompRule> {
    Ok(SeccompRule::new(
        conditions.into_iter().collect::<Compiled<_>>()?,
    )?)
}

fn argument(index: u8, compare: SeccompCmpOp, value: u64) -> Compiled<SeccompCondition> {
    Ok(SeccompCondition::new(
        index,
        SeccompCmpArgLen::Dword,
        compare,
        value,
    )?)
}

/// One rule for each namespace flag.
fn namespace_bits() -> Compiled<Vec<SeccompRule>> {
    (0..31)
        .map(|bit| u64::from((1_u32 << bit) & NAMESPACES.unsigned_abs()))
        .filter(|flag| *flag != 0)
        .map(|flag| rule(vec![argument(0, SeccompCmpOp::MaskedEq(flag), flag)]))
        .collect()
}

/// Socket families beyond those that the network mode needs.
fn foreign_families(network: NetworkMode) -> Vec<Compiled<SeccompCondition>> {
    let families: &[i32] = match network {
        NetworkMode::None => &[libc::AF_UNIX],
        // Netlink is how the C library asks for addresses of interfaces.
        NetworkMode::Loopback | NetworkMode::Allow => {
            &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]
        }
    };
    families
        .iter()
        .map(|family| argument(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())))
        .collect()
}

/// Refuses to set the priority of another process, and of all processes of a group or user: `group_scope` is the number
/// of the first such scope.
fn on_own_process(group_scope: u64) -> Compiled<Vec<SeccompRule>> {
    Ok(vec![
        rule(vec![argument(1, SeccompCmpOp::Ne, 0)])?,
        rule(vec![argument(0, SeccompCmpOp::Ge, group_scope)])?,
    ])
}

/// Typing into a terminal.
fn terminal_input() -> Compiled<Vec<SeccompRule>> {
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    [TIOCSTI, TIOCLINUX]
        .into_iter()
        .map(|request| rule(vec![argument(1, SeccompCmpOp::Eq, request)]))
        .collect()
}

#[cfg(target_arch = "x86_64")]
fn foreign_abi() -> Option<BpfProgram> {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const NUMBER_AT: u32 = 0;
    let statement = |code, k| sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    Some(vec![
        statement(LOAD_WORD, NUMBER_AT),
        sock_filter {
            code: JUMP_IF_AT_LEAST,
            jt: 0,
            jf: 1,
            k: X32,
        },
        statement(RETURN, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()).into()),
        statement(RETURN, SeccompAction::Allow.into()),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_abi() -> Option<BpfProgram> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_of_each_network_mode_compile() {
        for network in [NetworkMode::None, NetworkMode::Loopback, NetworkMode::Allow] {
            let programs = programs(network).unwrap();
            assert!(programs.len() >= 2);
            assert!(
                programs.iter().all(|program| program.len() < 4096),
                "the kernel takes at most 4096 instructions"
            );
        }
    }

    #[test]
    fn each_namespace_flag_has_its_rule() {
        assert_eq!(namespace_bits().unwrap().len(), 7);
    }
}
