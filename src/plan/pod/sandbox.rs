//! The sidecar in which the agent's code is executed.

use k8s_openapi::api::core::v1::{Container, Probe};

use super::security::{self, Role};
use super::volumes::{self, Access, mount};
use super::{PodOptions, no_gpu, paths, relay, resources};
use crate::api::task::EnvironmentSpec;
use crate::api::{SandboxMode, Task};

pub(super) fn container(task: &Task, options: &PodOptions) -> Container {
    let environment = &task.spec.environment;
    let strictness = match environment.sandbox {
        SandboxMode::Required => "required",
        SandboxMode::BestEffort => "best-effort",
    };
    let memory = watched_memory(environment).to_string();
    let cpus = cpus(environment).to_string();
    let arguments = [
        "exec",
        "--socket",
        paths::SOCKET,
        "--workspace",
        paths::WORKSPACE,
        "--public",
        paths::PUBLIC,
        "--state",
        paths::EXEC_STATE,
        "--scratch",
        paths::SCRATCH,
        // Looked for on the image's PATH.
        "--python",
        "python3",
        "--sandbox",
        strictness,
        "--memory",
        &memory,
        "--cpus",
        &cpus,
    ];
    Container {
        restart_policy: Some("Always".into()),
        // The device plugin sets the variable of a container that has GPUs.
        env: environment.gpu.is_none().then(|| vec![no_gpu()]),
        working_dir: Some(paths::WORKSPACE.into()),
        // Ready when the relay says that its executor is connected: before the agent starts, and before any foreign code.
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(120),
            ..relay::probe("/readyz")
        }),
        resources: Some(resources::of_sandbox(environment)),
        security_context: Some(security::of(Role::Sandbox, options.ids, true)),
        volume_mounts: Some(vec![
            mount("program", paths::PROGRAM, Access::Read),
            volumes::public(task),
            mount("channel", paths::CHANNEL, Access::Read),
            mount("workspace", paths::WORKSPACE, Access::Write),
            mount("scratch", paths::SCRATCH, Access::Write),
            mount("exec-state", paths::EXEC_STATE, Access::Write),
            mount("shm", paths::SHM, Access::Write),
        ]),
        ..super::container("sandbox", &environment.image, &arguments)
    }
}

/// Bytes that one program may use. The container's own limit ends the whole container, the executor with it, so the
/// executor acts first: a sixteenth below it, at least 32 MiB.
fn watched_memory(environment: &EnvironmentSpec) -> u64 {
    const LEAST_MARGIN: u64 = 32 << 20;
    let limit = environment.resources.memory.bytes().unwrap_or(u64::MAX);
    limit.saturating_sub((limit / 16).max(LEAST_MARGIN))
}

/// Threads of numeric libraries: the CPUs of the container, a started one counted whole.
fn cpus(environment: &EnvironmentSpec) -> u128 {
    let milli = environment.resources.cpu.milli().unwrap_or(1_000);
    milli.div_ceil(1_000).max(1)
}
