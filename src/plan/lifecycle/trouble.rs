//! Containers that cannot be made, do not start or do not stay up.

use k8s_openapi::api::core::v1::ContainerStatus;

use super::disruption::unknown;
use super::fate::{Clock, Fate};
use super::harvest::{Harvest, end, ends, exit, or_nothing, runs, told, waits};
use crate::plan::status::SANDBOX_REFUSED;
use crate::wire::result::EpisodeResult;

/// How often a sidecar may end; once more, and it is given up.
const MAX_ENDS: i32 = 5;
/// Exit code of a relay or an executor that was given wrong input, or that refuses the machine.
pub(super) const EXIT_REFUSED: i32 = 2;

/// What an image that cannot be had is waited for with.
pub(super) const PULL_ERRORS: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// What nobody but the author of Task or Episode can mend.
const WRONG_IMAGE: &[&str] = &["InvalidImageName", "ErrImageNeverPull"];
/// What nobody but the author can mend either, unless something that is named there comes late.
const WRONG_CONTAINER: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
    "ContainerCannotRun",
    "PostStartHookError",
];

/// A container that runs once could not be started, or failed. One that the node lost track of did not fail.
pub(super) fn failed_to_start(pod: Harvest<'_>) -> Option<Fate> {
    let failed = |name: &str| {
        pod.container(name)
            .and_then(end)
            .filter(|ended| ended.exit_code != 0 && !unknown(ended))
    };
    if let Some(install) = failed("install") {
        let message = format!("the program could not be put into the pod: {}", told(install));
        return Some(Fate::infrastructure("InstallFailed", message));
    }
    if let Some(prepare) = failed("prepare") {
        let message = format!("`prepare` of the Task ended with {}", told(prepare));
        return Some(Fate::of_task("PrepareFailed", message));
    }
    let agent = pod.agent_end()?;
    let reason = agent.reason.as_deref().unwrap_or_default();
    WRONG_CONTAINER.contains(&reason).then(|| {
        Fate::of_task(
            reason,
            format!("container `agent` cannot be started: {}", told(agent)),
        )
    })
}

pub(super) fn relay_refused() -> Fate {
    Fate::infrastructure(
        "RelayLost",
        "the relay does not take what it was given (exit code 2); its log says what",
    )
}

/// A sidecar that does not stay up.
pub(super) fn sidecars(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> Option<Fate> {
    if let Some(relay) = pod.container("relay")
        && let Some(ended) = end(relay)
    {
        if ended.exit_code == EXIT_REFUSED {
            return Some(relay_refused());
        }
        if ends(relay) > MAX_ENDS {
            let message = format!(
                "the relay ended {} times, at last with {}",
                ends(relay),
                exit(ended)
            );
            return Some(Fate::infrastructure("RelayLost", message));
        }
    }
    if spoilt(pod, result) {
        return Some(Fate::Stop);
    }
    let sandbox = pod.container("sandbox").filter(|_| !was_up(pod, result))?;
    let ended = end(sandbox)?;
    if ended.exit_code == EXIT_REFUSED {
        return Some(Fate::infrastructure(
            SANDBOX_REFUSED,
            format!(
                "the executor refuses node {} (exit code 2): its kernel lacks a layer that `sandbox: Required` asks for, \
                 or what the executor was given is wrong; its log says which",
                pod.node().unwrap_or("of the pod")
            ),
        ));
    }
    let reason = ended.reason.as_deref().unwrap_or_default();
    (ends(sandbox) > MAX_ENDS).then(|| {
        if WRONG_CONTAINER.contains(&reason) {
            return Fate::of_task(
                reason,
                format!("container `sandbox` cannot be started: {}", told(ended)),
            );
        }
        Fate::infrastructure(
            "ExecutorNotStarted",
            format!(
                "the executor ended {} times before it was ready, at last with {}",
                ends(sandbox),
                exit(ended)
            ),
        )
    })
}

/// Whether the executor has been connected. The agent is started after that.
fn was_up(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> bool {
    let started = pod
        .container("sandbox")
        .is_some_and(|sandbox| sandbox.started == Some(true) && runs(sandbox));
    pod.acted() || started || result.is_some_and(|result| result.executor)
}

/// Whether what ran in the sandbox keeps ending its executor.
pub(super) fn spoilt(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> bool {
    let by_itself = |sandbox: &ContainerStatus| {
        let last = end(sandbox).and_then(|last| last.finished_at.as_ref());
        // The deletion of its pod ends a sandbox too, and that is not its own doing.
        let interrupted = pod
            .deleted_at()
            .is_some_and(|deleted| last.is_none_or(|last| last.0 >= deleted));
        sandbox.restart_count + i32::from(end(sandbox).is_some() && !interrupted)
    };
    pod.container("sandbox")
        .is_some_and(|sandbox| by_itself(sandbox) > MAX_ENDS)
        && was_up(pod, result)
}

/// A container that cannot be made.
pub(super) fn waiting(pod: Harvest<'_>, clock: Clock) -> Fate {
    let since = pod.last_progress().unwrap_or(clock.now);
    let left = since.as_second() + clock.start_patience - clock.now.as_second();
    for container in pod.containers() {
        let Some(wait) = waits(container) else { continue };
        let reason = wait.reason.as_deref().unwrap_or_default();
        let message = format!(
            "container `{}`: {reason}: {}",
            container.name,
            or_nothing(wait.message.as_deref().unwrap_or_default())
        );
        if WRONG_IMAGE.contains(&reason) {
            return Fate::of_task(reason, message);
        }
        let (pull, make) = (PULL_ERRORS.contains(&reason), WRONG_CONTAINER.contains(&reason));
        if (pull || make) && left > 0 {
            return Fate::Open {
                look_again: Some(left),
            };
        }
        if pull {
            let image = image_of(pod, &container.name);
            return Fate::infrastructure(
                "ImagePullFailed",
                format!(
                    "image {image} could not be pulled for {} s; {message}",
                    clock.start_patience
                ),
            );
        }
        if make {
            return Fate::of_task(reason, message);
        }
    }
    unmade(pod, clock, left)
}

/// A node that does not get as far as containers is told of after the patience ([`super::starting`]), and given up after
/// twice that: it holds the node's GPUs.
fn unmade(pod: Harvest<'_>, clock: Clock, left: i64) -> Fate {
    let left = left + clock.start_patience;
    if pod.node().is_none() || pod.is_sandboxed() {
        return Fate::Open { look_again: None };
    }
    if left > 0 {
        return Fate::Open {
            look_again: Some(left),
        };
    }
    Fate::infrastructure(
        "PodNotStarted",
        format!(
            "the node has not made the pod's containers for {} s; a volume that names a ConfigMap or a claim that is not \
             there is the usual cause",
            2 * clock.start_patience
        ),
    )
}

/// The image as the pod names it.
pub(super) fn image_of<'a>(pod: Harvest<'a>, container: &str) -> &'a str {
    pod.pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers))
        .find(|planned| planned.name == container)
        .and_then(|planned| planned.image.as_deref())
        .unwrap_or_default()
}
