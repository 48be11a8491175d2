//! What a pod says of its attempt. The result is read from the container `relay` alone: what other containers leave is the
//! agent's or the Task's to write.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodCondition,
    PodStatus,
};

use crate::wire::result::EpisodeResult;

/// Characters of a program's last words that are told.
const LAST_WORDS: usize = 1000;

/// A pod, to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Harvest<'a> {
    pub(super) pod: &'a Pod,
}

impl<'a> Harvest<'a> {
    pub(super) fn of(pod: &'a Pod) -> Self {
        Self { pod }
    }

    fn status(self) -> Option<&'a PodStatus> {
        self.pod.status.as_ref()
    }

    /// Every container, in the order in which they start.
    pub(super) fn containers(self) -> impl Iterator<Item = &'a ContainerStatus> {
        let status = self.status();
        let init = status.and_then(|status| status.init_container_statuses.as_ref());
        let main = status.and_then(|status| status.container_statuses.as_ref());
        init.into_iter().chain(main).flatten()
    }

    pub(super) fn container(self, name: &str) -> Option<&'a ContainerStatus> {
        self.containers().find(|container| container.name == name)
    }

    /// Whether no container of it runs any more, nor ever will.
    pub(super) fn over(self) -> bool {
        let phase = self.status().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Why the kubelet has ended the pod as a whole, or refused it.
    pub(super) fn reason(self) -> Option<&'a str> {
        self.status()?
            .reason
            .as_deref()
            .filter(|reason| !reason.is_empty())
    }

    pub(super) fn message(self) -> &'a str {
        self.status()
            .and_then(|status| status.message.as_deref())
            .unwrap_or_default()
    }

    /// The newest result that the relay has left: the one of its last run, or of the run before.
    pub(super) fn result(self) -> Option<EpisodeResult> {
        let relay = self.container("relay")?;
        [&relay.state, &relay.last_state]
            .into_iter()
            .filter_map(|state| state.as_ref()?.terminated.as_ref()?.message.as_ref())
            .filter_map(|message| serde_json::from_str::<EpisodeResult>(message).ok())
            .filter(EpisodeResult::is_plausible)
            .max_by_key(|result| result.sequence)
    }

    /// How the agent has ended.
    pub(super) fn agent_end(self) -> Option<&'a ContainerStateTerminated> {
        self.container("agent")
            .and_then(|agent| agent.state.as_ref()?.terminated.as_ref())
    }

    /// When the agent started; from then on relay and sandbox are up, or have been: it is started after them.
    pub(super) fn agent_start(self) -> Option<Timestamp> {
        let state = self.container("agent")?.state.as_ref()?;
        let running = state.running.as_ref().map(|running| &running.started_at);
        let ended = state.terminated.as_ref().map(|ended| &ended.started_at);
        running.or(ended)?.as_ref().map(|time| time.0)
    }

    /// Whether the agent acts, or has.
    pub(super) fn acted(self) -> bool {
        let state = self.container("agent").and_then(|agent| agent.state.as_ref());
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    }

    /// Whether its node has come as far as containers: volumes are mounted, and there is a network.
    pub(super) fn is_sandboxed(self) -> bool {
        self.condition("PodReadyToStartContainers", true).is_some()
            || self.containers().any(|container| waits(container).is_none())
    }

    pub(super) fn node(self) -> Option<&'a str> {
        self.pod
            .spec
            .as_ref()?
            .node_name
            .as_deref()
            .filter(|node| !node.is_empty())
    }

    pub(super) fn annotation(self, key: &str) -> Option<&'a str> {
        self.pod
            .metadata
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    /// Digest of the image that the sandbox really runs.
    pub(super) fn image_digest(self) -> Option<String> {
        let id = &self.container("sandbox")?.image_id;
        let digest = id.rsplit_once('@').map_or(id.as_str(), |(_, digest)| digest);
        (!digest.is_empty()).then(|| digest.to_owned())
    }

    /// When the pod must be gone; set once somebody has deleted it.
    pub(super) fn ends_by(self) -> Option<Timestamp> {
        self.pod.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// When somebody has deleted it: its containers run on for a while.
    pub(super) fn deleted_at(self) -> Option<Timestamp> {
        let grace = self
            .pod
            .metadata
            .deletion_grace_period_seconds
            .unwrap_or_default();
        let by = self.ends_by()?;
        Timestamp::from_second(by.as_second().saturating_sub(grace)).ok()
    }

    /// A condition that holds (`True`), or not (`False`).
    pub(super) fn condition(self, name: &str, holds: bool) -> Option<&'a PodCondition> {
        let wanted = if holds { "True" } else { "False" };
        let conditions = self.status()?.conditions.as_ref()?;
        conditions
            .iter()
            .find(|condition| condition.type_ == name && condition.status == wanted)
    }

    /// The last time at which something is known to have happened in the pod: what has not happened since then is waited
    /// for since then.
    pub(super) fn last_progress(self) -> Option<Timestamp> {
        let made = self.pod.metadata.creation_timestamp.as_ref();
        let taken = self.status().and_then(|status| status.start_time.as_ref());
        let seen = self
            .containers()
            .filter_map(|container| container.state.as_ref())
            .filter_map(|state| {
                let started = state
                    .running
                    .as_ref()
                    .and_then(|running| running.started_at.as_ref());
                let ended = state
                    .terminated
                    .as_ref()
                    .and_then(|ended| ended.finished_at.as_ref());
                started.or(ended)
            });
        // The kubelet's first word comes a moment after the scheduler's, and the pod may have waited long for a node.
        let placed = self
            .condition("PodScheduled", true)
            .and_then(|placed| placed.last_transition_time.as_ref());
        let all = made.into_iter().chain(taken).chain(placed).chain(seen);
        all.map(|time| time.0).max()
    }
}

/// What a container waits for.
pub(super) fn waits(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    container.state.as_ref()?.waiting.as_ref()
}

pub(super) fn runs(container: &ContainerStatus) -> bool {
    container
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some())
}

/// How a container ended last, where it does not run now.
pub(super) fn end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ended = |state: &'_ Option<ContainerState>| state.as_ref().is_some_and(|s| s.terminated.is_some());
    if runs(container) {
        return None;
    }
    let state = if ended(&container.state) {
        &container.state
    } else {
        &container.last_state
    };
    state.as_ref()?.terminated.as_ref()
}

/// How often a container has ended.
pub(super) fn ends(container: &ContainerStatus) -> i32 {
    // A restart follows an end; one that does not run now has ended once more.
    container.restart_count + i32::from(end(container).is_some())
}

/// An exit code as people read it.
pub(super) fn exit(ended: &ContainerStateTerminated) -> String {
    match ended.reason.as_deref() {
        Some("OOMKilled") => format!("exit code {}, killed for its memory", ended.exit_code),
        _ => format!("exit code {}", ended.exit_code),
    }
}

/// An exit code with the program's last words.
pub(super) fn told(ended: &ContainerStateTerminated) -> String {
    let words = ended.message.as_deref().unwrap_or_default().trim();
    let skipped = words.chars().count().saturating_sub(LAST_WORDS);
    let tail: String = words.chars().skip(skipped).collect();
    let cut = if skipped > 0 { "…" } else { "" };
    format!("{}: {cut}{}", exit(ended), or_nothing(&tail))
}

pub(super) fn or_nothing(message: &str) -> &str {
    match message.trim() {
        "" => "nothing more is said",
        message => message,
    }
}
