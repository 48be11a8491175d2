//! Users and privileges: what the `restricted` Pod Security Standard asks for, and one user for each role.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};

/// Under which users containers run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ids {
    /// Each role has a user of its own, so that none can read another's `/proc`. Right for most clusters.
    #[default]
    Fixed,
    /// The cluster assigns one user to the whole pod (OpenShift's namespaces do).
    Assigned,
}

/// Whose container it is; the number is its user and group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Install = 64_000,
    Relay = 64_001,
    Sandbox = 64_002,
    Agent = 64_004,
    Prepare = 64_005,
}

/// Group of the pod's own volumes: what one role writes for another is readable by this group.
const SHARED_GROUP: i64 = 64_000;

/// The security context of the pod.
pub(super) fn of_pod(ids: Ids) -> PodSecurityContext {
    let fixed = ids == Ids::Fixed;
    PodSecurityContext {
        run_as_non_root: Some(true),
        seccomp_profile: Some(runtime_default()),
        fs_group: fixed.then_some(SHARED_GROUP),
        fs_group_change_policy: fixed.then(|| "OnRootMismatch".into()),
        ..PodSecurityContext::default()
    }
}

/// The security context of a container. `read_only_root`: it writes to its volumes only.
pub(super) fn of(role: Role, ids: Ids, read_only_root: bool) -> SecurityContext {
    let id = (ids == Ids::Fixed).then_some(role as i64);
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            ..Capabilities::default()
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(read_only_root),
        run_as_group: id,
        run_as_non_root: Some(true),
        run_as_user: id,
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".into(),
        ..SeccompProfile::default()
    }
}
