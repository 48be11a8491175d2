//! What becomes of the attempt that a pod is at: it goes on, it has a result, or it is lost and whose fault that is.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

use super::harvest::{Harvest, end, ends, runs, waits};
use crate::api::conditions::{FailureClass, Outcome};
use crate::api::status::FailureStatus;
use crate::plan::status::{NO_RESULT, SANDBOX_REFUSED, TASK_BROKEN};
use crate::wire::result::EpisodeResult;

/// How often a sidecar may end; once more, and it is given up.
const MAX_ENDS: i32 = 5;
/// Seconds after which a node that has not ended a deleted pod is lost.
const NODE_PATIENCE: i64 = 60;
/// Seconds that an agent has after the wall clock before its pod is deleted: `dojo agent` needs less.
const OVERTIME: i64 = 90;
/// Exit code of a relay or an executor that was given wrong input, or that refuses the machine.
const EXIT_REFUSED: i32 = 2;
/// Exit code of a relay whose Task cannot grade.
const EXIT_TASK_BROKEN: i32 = 3;
/// Characters of a program's last words that are told.
const LAST_WORDS: usize = 1000;

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

/// What becomes of an attempt.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one of them is made for each look
pub(super) enum Fate {
    /// Nothing is decided yet. `look_again`: seconds until time itself changes that.
    Open { look_again: Option<i64> },
    /// The pod has to end now; what it leaves is the result.
    Stop,
    /// It has a result.
    Ended {
        agent_exit: Option<i32>,
        result: EpisodeResult,
    },
    /// It has none.
    Lost(FailureStatus),
}

/// What a look at a pod needs besides the pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    /// See [`super::Settings::start_patience`].
    pub(super) start_patience: i64,
    /// Wall clock of the attempt in seconds; unset: not known.
    pub(super) wall_clock: Option<i64>,
}

/// What becomes of the attempt of this pod.
pub(super) fn fate(pod: Harvest<'_>, clock: Clock) -> Fate {
    let result = pod.result();
    if let Some(broken) = task_broken(pod, result.as_ref()) {
        return broken;
    }
    if pod.over() {
        return finished(pod, result, clock);
    }
    if let Some(by) = pod.ends_by() {
        return terminating(pod, result, by, clock.now);
    }
    if let Some(fate) = sidecars(pod, result.as_ref()) {
        return fate;
    }
    match waiting(pod, clock) {
        Fate::Open { look_again: None } => overdue_in(pod, clock),
        fate => fate,
    }
}

fn lost(class: FailureClass, reason: &str, message: impl Into<String>) -> Fate {
    Fate::Lost(FailureStatus {
        class,
        reason: reason.into(),
        message: message.into(),
    })
}

fn infrastructure(reason: &str, message: impl Into<String>) -> Fate {
    lost(FailureClass::Infrastructure, reason, message)
}

fn of_task(reason: &str, message: impl Into<String>) -> Fate {
    lost(FailureClass::Task, reason, message)
}

/// The relay says that the Task cannot grade: no attempt will do better.
fn task_broken(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> Option<Fate> {
    if let Some(result) = result.filter(|result| result.task_error.is_some()) {
        return Some(Fate::Ended {
            agent_exit: None,
            result: result.clone(),
        });
    }
    let relay = end(pod.container("relay")?)?;
    (relay.exit_code == EXIT_TASK_BROKEN).then(|| {
        of_task(
            TASK_BROKEN,
            "the relay cannot grade with what the Task gives it; its log says why",
        )
    })
}

/// Nothing of the pod runs any more.
fn finished(pod: Harvest<'_>, result: Option<EpisodeResult>, clock: Clock) -> Fate {
    let agent = pod.agent_end();
    let agent_exit = agent.map(|agent| agent.exit_code);
    // Nothing ran, whatever else happened.
    if let Some(error) = result.as_ref().and_then(|result| result.sandbox_error.as_ref()) {
        return infrastructure(SANDBOX_REFUSED, error.as_str());
    }
    // A spent budget is the relay's word, and it stands whatever ended the pod afterwards.
    if let Some(result) = result.as_ref().filter(|result| result.outcome.is_some()) {
        return Fate::Ended {
            agent_exit,
            result: result.clone(),
        };
    }
    let with_result = |agent_exit, outcome| match result.clone() {
        Some(result) => Fate::Ended {
            agent_exit,
            result: EpisodeResult { outcome, ..result },
        },
        None => no_result(pod),
    };
    if let Some(limit) = own_limit(pod) {
        return match pod.acted() {
            // Not the exit code: it says how the kubelet killed it.
            true => with_result(None, None),
            false => over_limit_before_start(pod, limit),
        };
    }
    let interrupted = pod
        .deleted_at()
        .is_some_and(|deleted| !ended_before(agent, deleted));
    if interrupted && overdue(pod, clock) {
        return with_result(None, Some(Outcome::WallClockExhausted));
    }
    if interrupted && spoilt(pod, result.as_ref()) {
        return with_result(None, None);
    }
    if let Some(disruption) = disruption(pod) {
        return disruption;
    }
    if let Some(failure) = failed_to_start(pod) {
        return failure;
    }
    match agent {
        Some(agent) if unknown(agent) => infrastructure(
            "NodeLost",
            format!(
                "node {} lost track of the agent's container (exit code {}), as it does when it is restarted",
                pod.node().unwrap_or("of the pod"),
                agent.exit_code
            ),
        ),
        Some(agent) => with_result(Some(agent.exit_code), None),
        None => infrastructure(
            pod.reason().unwrap_or("PodFailed"),
            format!(
                "the pod failed before the agent ended: {}",
                or_nothing(pod.message())
            ),
        ),
    }
}

fn no_result(pod: Harvest<'_>) -> Fate {
    let relay = pod.container("relay").and_then(end);
    match relay {
        Some(relay) if relay.exit_code == EXIT_REFUSED => relay_refused(),
        Some(relay) => infrastructure(
            NO_RESULT,
            format!("the relay ended with {} and left no result", exit(relay)),
        ),
        None => infrastructure(NO_RESULT, "the pod ended and its relay left no result"),
    }
}

fn relay_refused() -> Fate {
    infrastructure(
        "RelayLost",
        "the relay does not take what it was given (exit code 2); its log says what",
    )
}

/// What the kubelet says of a pod that used more disk than it may: that is not the node's trouble.
fn own_limit(pod: Harvest<'_>) -> Option<&str> {
    const SENTENCES: &[&str] = &[
        "exceeds the total limit of containers",
        "exceeded its local ephemeral storage limit",
        "exceeds the limit",
    ];
    let message = pod.message();
    (pod.reason() == Some("Evicted") && SENTENCES.iter().any(|sentence| message.contains(sentence)))
        .then_some(message)
}

fn over_limit_before_start(pod: Harvest<'_>, limit: &str) -> Fate {
    if unprepared(pod) {
        of_task(
            "PrepareFailed",
            format!(
                "the data that `prepare` makes are too large: {}; raise \
                 spec.environment.resources.ephemeralStorage of the Task",
                limit.trim()
            ),
        )
    } else {
        infrastructure("Evicted", limit.trim())
    }
}

/// Whether the pod has data to prepare, and they are not there yet.
pub(super) fn unprepared(pod: Harvest<'_>) -> bool {
    let planned = pod
        .pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .any(|container| container.name == "prepare");
    let done = pod
        .container("prepare")
        .and_then(end)
        .is_some_and(|prepare| prepare.exit_code == 0);
    planned && !done
}

/// Somebody deleted a pod that had not finished.
fn terminating(pod: Harvest<'_>, result: Option<EpisodeResult>, by: Timestamp, now: Timestamp) -> Fate {
    let late = now.as_second() - by.as_second() - NODE_PATIENCE;
    let Some(node) = pod.node() else {
        // Nothing of it ever ran, and nobody will say that it ended.
        return disruption(pod).unwrap_or(Fate::Open { look_again: None });
    };
    if late < 0 {
        return Fate::Open {
            look_again: Some(-late),
        };
    }
    match result.filter(|result| result.outcome.is_some()) {
        Some(result) => Fate::Ended {
            agent_exit: pod.agent_end().map(|agent| agent.exit_code),
            result,
        },
        None => infrastructure(
            "NodeLost",
            format!("node {node} does not say that the deleted pod has ended"),
        ),
    }
}

/// Who took the pod away, unless its agent had ended before.
fn disruption(pod: Harvest<'_>) -> Option<Fate> {
    let deleted = pod.deleted_at();
    let target = pod.condition("DisruptionTarget", true);
    let by = target.and_then(|target| target.reason.as_deref());
    // The other reasons announce a deletion, and one that did not come to pass has disturbed nobody.
    let node_did = matches!(by, Some("TerminationByKubelet" | "DeletionByPodGC"));
    let evicted = pod.reason() == Some("Evicted");
    if deleted.is_none() && !node_did && !evicted {
        return None;
    }
    let announced = target.and_then(|target| target.last_transition_time.as_ref());
    if let Some(at) = deleted.or(announced.map(|time| time.0))
        && ended_before(pod.agent_end(), at)
    {
        return None;
    }
    if let Some(kueue) = pod.condition("TerminationTarget", true) {
        let reason = kueue.reason.as_deref().unwrap_or("no reason given");
        let message = or_nothing(kueue.message.as_deref().unwrap_or_default());
        return Some(infrastructure(
            "EvictedByKueue",
            format!("Kueue took the pod's quota back ({reason}): {message}"),
        ));
    }
    let said = target
        .and_then(|target| target.message.as_deref())
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| pod.message());
    let said = or_nothing(said);
    Some(match by {
        Some("PreemptionByScheduler") => infrastructure(
            "Preempted",
            format!("a pod of higher priority took its place: {said}"),
        ),
        Some("DeletionByTaintManager") => infrastructure(
            "EvictedByTaint",
            format!("the node got a taint that the pod does not tolerate: {said}"),
        ),
        Some("EvictionByEvictionAPI") => infrastructure("Evicted", format!("the node is drained: {said}")),
        Some("DeletionByPodGC") => infrastructure("NodeLost", format!("the pod's node is gone: {said}")),
        _ if evicted => infrastructure("Evicted", said),
        Some("TerminationByKubelet") => infrastructure("NodeShutdown", said),
        _ => infrastructure("PodDeleted", "somebody deleted the pod while it was at work"),
    })
}

/// Whether the agent ended before. Times have whole seconds: in the same second it may be the one that was interrupted.
fn ended_before(agent: Option<&ContainerStateTerminated>, at: Timestamp) -> bool {
    agent
        .filter(|agent| !unknown(agent))
        .and_then(|agent| agent.finished_at.as_ref())
        .is_some_and(|ended| ended.0 < at)
}

/// The kubelet does not know how the container ended.
fn unknown(ended: &ContainerStateTerminated) -> bool {
    matches!(
        ended.reason.as_deref(),
        Some("ContainerStatusUnknown" | "Unknown")
    )
}

/// A container that runs once could not be started, or failed.
fn failed_to_start(pod: Harvest<'_>) -> Option<Fate> {
    let failed = |name: &str| {
        pod.container(name)
            .and_then(end)
            .filter(|ended| ended.exit_code != 0)
    };
    if let Some(install) = failed("install") {
        let message = format!("the program could not be put into the pod: {}", told(install));
        return Some(infrastructure("InstallFailed", message));
    }
    if let Some(prepare) = failed("prepare") {
        let message = format!("`prepare` of the Task ended with {}", told(prepare));
        return Some(of_task("PrepareFailed", message));
    }
    let agent = pod.agent_end()?;
    let reason = agent.reason.as_deref().unwrap_or_default();
    WRONG_CONTAINER.contains(&reason).then(|| {
        of_task(
            reason,
            format!("container `agent` cannot be started: {}", told(agent)),
        )
    })
}

/// A sidecar that does not stay up.
fn sidecars(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> Option<Fate> {
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
            return Some(infrastructure("RelayLost", message));
        }
    }
    if spoilt(pod, result) {
        return Some(Fate::Stop);
    }
    let sandbox = pod.container("sandbox").filter(|_| !was_up(pod, result))?;
    let ended = end(sandbox)?;
    if ended.exit_code == EXIT_REFUSED {
        return Some(infrastructure(
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
            return of_task(
                reason,
                format!("container `sandbox` cannot be started: {}", told(ended)),
            );
        }
        infrastructure(
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
fn spoilt(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> bool {
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
fn waiting(pod: Harvest<'_>, clock: Clock) -> Fate {
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
            return of_task(reason, message);
        }
        let (pull, make) = (PULL_ERRORS.contains(&reason), WRONG_CONTAINER.contains(&reason));
        if (pull || make) && left > 0 {
            return Fate::Open {
                look_again: Some(left),
            };
        }
        if pull {
            let image = image_of(pod, &container.name);
            return infrastructure(
                "ImagePullFailed",
                format!(
                    "image {image} could not be pulled for {} s; {message}",
                    clock.start_patience
                ),
            );
        }
        if make {
            return of_task(reason, message);
        }
    }
    Fate::Open { look_again: None }
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

/// Whether the pod was deleted because its agent had not ended long after the wall clock.
fn overdue(pod: Harvest<'_>, clock: Clock) -> bool {
    match (pod.deleted_at(), deadline(pod, clock)) {
        (Some(deleted), Some(deadline)) => deleted.as_second() >= deadline,
        _ => false,
    }
}

/// An agent that ends by itself is not waited for for ever.
fn overdue_in(pod: Harvest<'_>, clock: Clock) -> Fate {
    let left = deadline(pod, clock)
        .filter(|_| pod.agent_end().is_none())
        .map(|deadline| deadline - clock.now.as_second());
    match left {
        Some(left) if left <= 0 => Fate::Stop,
        look_again => Fate::Open { look_again },
    }
}

fn deadline(pod: Harvest<'_>, clock: Clock) -> Option<i64> {
    Some(
        pod.agent_start()?
            .as_second()
            .saturating_add(clock.wall_clock?)
            .saturating_add(OVERTIME),
    )
}

/// An exit code as people read it.
fn exit(ended: &ContainerStateTerminated) -> String {
    match ended.reason.as_deref() {
        Some("OOMKilled") => format!("exit code {}, killed for its memory", ended.exit_code),
        _ => format!("exit code {}", ended.exit_code),
    }
}

/// An exit code with the program's last words.
fn told(ended: &ContainerStateTerminated) -> String {
    let words = ended.message.as_deref().unwrap_or_default().trim();
    let skipped = words.chars().count().saturating_sub(LAST_WORDS);
    let tail: String = words.chars().skip(skipped).collect();
    let cut = if skipped > 0 { "…" } else { "" };
    format!("{}: {cut}{}", exit(ended), or_nothing(&tail))
}

fn or_nothing(message: &str) -> &str {
    match message.trim() {
        "" => "nothing more is said",
        message => message,
    }
}
