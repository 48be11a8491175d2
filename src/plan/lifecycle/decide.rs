//! The decision: one look at the world, one step.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::details::{record, recorded_uid, wall_clock};
use super::fate::{Clock, Fate, fate};
use super::harvest::Harvest;
use super::starting::{CREATING_POD, UNPLACED, reason};
use super::{Actions, Decision, MANAGER, PodRef, World, retry};
use crate::api::EpisodeStatus;
use crate::api::conditions::{FailureClass, Phase};
use crate::api::status::FailureStatus;
use crate::plan::document::{name_of, namespace_of};
use crate::plan::pod::{RESULT_FINALIZER, cluster};
use crate::plan::status::{Observed, Stage, TASK_NOT_READY, whole_second};
use crate::plan::task::why_not_ready;

/// Seconds for which a new Episode waits for its Task without a word: both are often made by one `kubectl apply`, and a
/// status that says so would be out of date at once.
const SETTLING: i64 = 3;
/// Seconds until the step after one that had to be put on record first, should nobody tell of the record.
const NEXT_STEP: i64 = 1;

/// What to do about an Episode.
pub fn decide(world: &World<'_>) -> Decision {
    let episode = world.episode;
    if episode
        .spec
        .managed_by
        .as_deref()
        .is_some_and(|manager| manager != MANAGER)
    {
        return Decision::default();
    }
    if episode.metadata.deletion_timestamp.is_some() {
        return Decision {
            actions: let_go(world.pods.iter()),
            ..Decision::default()
        };
    }
    let unset = EpisodeStatus::default();
    let previous = episode.status.as_ref().unwrap_or(&unset);
    if previous.phase.is_final() {
        return settled(world, previous);
    }
    let life = Life { world, previous };
    match previous.attempt.filter(|_| !life.moved_on()) {
        Some(attempt) => match life.pod_of(attempt) {
            Some(pod) => life.with_pod(attempt, Harvest::of(pod)),
            None if previous.pod.is_some() => life.vanished(attempt),
            None => life.before_pod(attempt, true),
        },
        None => life.before_pod(previous.attempt.unwrap_or_default() + 1, false),
    }
}

/// Ends these pods and lets them go, whatever they have to say.
fn let_go<'a>(pods: impl Iterator<Item = &'a Pod>) -> Actions {
    let mut actions = Actions::default();
    for pod in pods {
        actions.delete.extend(deletion(pod));
        actions.release.extend(release(pod));
    }
    actions
}

fn reference(pod: &Pod) -> PodRef {
    PodRef {
        name: name_of(pod).into(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

fn deletion(pod: &Pod) -> Option<PodRef> {
    pod.metadata.deletion_timestamp.is_none().then(|| reference(pod))
}

fn release(pod: &Pod) -> Option<PodRef> {
    let held = pod.metadata.finalizers.iter().flatten();
    held.into_iter()
        .any(|finalizer| finalizer == RESULT_FINALIZER)
        .then(|| reference(pod))
}

/// The result is on record: nothing needs the pods any more, and in time nothing needs the Episode.
fn settled(world: &World<'_>, previous: &EpisodeStatus) -> Decision {
    let mut actions = let_go(world.pods.iter());
    if world.settings.keep_pods {
        let kept =
            |pod: &Pod| pod.metadata.uid.as_deref() == recorded_uid(previous) && Harvest::of(pod).over();
        let uids: Vec<&str> = world
            .pods
            .iter()
            .filter(|pod| kept(pod))
            .filter_map(|pod| pod.metadata.uid.as_deref())
            .collect();
        actions.delete.retain(|pod| !uids.contains(&pod.uid.as_str()));
    }
    // Without a result there is no score; what a report told of one is not taken back by a status that is silent of it.
    actions.clear_live = previous.phase != Phase::Completed
        && (previous.score.is_some() || previous.reward.is_some() || previous.medal.is_some());
    let ttl = world.episode.spec.ttl_after_finished.as_ref();
    let left = ttl.zip(previous.finished_at.as_ref()).map(|(ttl, finished)| {
        let ttl = i64::try_from(ttl.millis().div_ceil(1000)).unwrap_or(i64::MAX);
        finished.0.as_second().saturating_add(ttl) - world.now.as_second()
    });
    actions.delete_episode = left.is_some_and(|left| left <= 0);
    Decision {
        observed: None,
        actions,
        look_again: left.filter(|left| *left > 0),
    }
}

/// An Episode that has not ended.
struct Life<'a> {
    world: &'a World<'a>,
    previous: &'a EpisodeStatus,
}

impl<'a> Life<'a> {
    /// Whether the attempt on record is given up: the next one has another number.
    fn moved_on(&self) -> bool {
        self.previous.phase == Phase::Suspended || retry::given_up(self.previous).is_some()
    }

    fn suspended(&self) -> bool {
        self.world.episode.spec.suspend == Some(true)
    }

    fn pod_name(&self, attempt: i32) -> String {
        format!("{}-{attempt}", name_of(self.world.episode))
    }

    /// The pod of the attempt: the one on record, or before there is one the one of its name.
    fn pod_of(&self, attempt: i32) -> Option<&'a Pod> {
        let name = self.pod_name(attempt);
        self.world
            .pods
            .iter()
            .find(|pod| match recorded_uid(self.previous) {
                Some(uid) => pod.metadata.uid.as_deref() == Some(uid),
                None => name_of(*pod) == name,
            })
    }

    fn observed(&self, stage: Stage, attempt: Option<i32>) -> Observed {
        let again = attempt.is_some() && attempt == self.previous.attempt;
        let recorded = self.previous.started_at.as_ref().map(|time| time.0);
        Observed {
            stage,
            attempt,
            retries: self.previous.retries,
            started_at: match (attempt, recorded) {
                (Some(_), Some(recorded)) if again => Some(recorded),
                (Some(_), _) => Some(self.now()),
                (None, _) => None,
            },
            ..Observed::new(self.world.task, self.world.episode)
        }
    }

    fn now(&self) -> Timestamp {
        whole_second(self.world.now).0
    }

    /// The attempt has no pod yet. `recorded`: its number is on record, so that the pod may be made.
    fn before_pod(&self, attempt: i32, recorded: bool) -> Decision {
        // Everything but a pod of this very attempt is of an earlier one. What is given up was put on record before.
        let name = self.pod_name(attempt);
        let mut actions = let_go(self.world.pods.iter().filter(|pod| name_of(*pod) != name));
        actions.clear_live = self.earlier_reports();
        let on_record = self.previous.attempt;
        if self.suspended() {
            return Decision {
                observed: Some(self.observed(Stage::Suspended, on_record)),
                actions,
                look_again: None,
            };
        }
        let left = retry::left(self.previous, self.world);
        if left > 0
            && let Some(stage) = retry::given_up(self.previous)
        {
            return Decision {
                observed: Some(self.observed(stage, on_record)),
                actions,
                look_again: Some(left),
            };
        }
        let plan = match self.plan(attempt) {
            Ok(plan) => plan,
            Err(problem) => return self.wait_for_task(problem, actions),
        };
        let stage = Stage::Starting {
            reason: CREATING_POD.into(),
            message: String::new(),
        };
        actions.create = recorded.then_some(plan);
        Decision {
            observed: Some(self.observed(stage, Some(attempt))),
            actions,
            look_again: (!recorded).then_some(NEXT_STEP),
        }
    }

    /// What a report has told of an attempt that is over. In the phases before a pod runs nobody else writes those fields.
    fn earlier_reports(&self) -> bool {
        let previous = self.previous;
        let silent = matches!(
            previous.phase,
            Phase::Pending | Phase::Suspended | Phase::Starting
        );
        silent && (previous.sequence.is_some() || previous.reward.is_some() || previous.usage.is_some())
    }

    /// The objects of an attempt, or why the Task gives none.
    fn plan(&self, attempt: i32) -> Result<crate::plan::Plan, String> {
        let episode = self.world.episode;
        let Some(task) = self.world.task else {
            return Err(format!(
                "there is no Task {} in namespace {}",
                episode.spec.task_ref.name,
                namespace_of(episode)
            ));
        };
        if let Some(problem) = why_not_ready(task) {
            return Err(problem);
        }
        let attempt = u32::try_from(attempt).unwrap_or_default();
        cluster(task, episode, attempt, &self.world.settings.pod).map_err(|reason| reason.to_string())
    }

    fn wait_for_task(&self, problem: String, actions: Actions) -> Decision {
        let made = self.world.episode.metadata.creation_timestamp.as_ref();
        let age = made.map_or(i64::MAX, |made| {
            self.world.now.as_second().saturating_sub(made.0.as_second())
        });
        if self.world.episode.status.is_none() && age < SETTLING {
            return Decision {
                observed: None,
                actions,
                look_again: Some(SETTLING - age),
            };
        }
        // The number of an attempt that is given up is not used again, however long the Task is waited for.
        let stage = match self.previous.phase {
            Phase::Suspended => retry::resuming(),
            _ => retry::given_up(self.previous).unwrap_or_else(|| Stage::Waiting {
                reason: TASK_NOT_READY.into(),
                message: String::new(),
            }),
        };
        Decision {
            observed: Some(Observed {
                task_problem: Some(problem),
                ..self.observed(stage, self.previous.attempt)
            }),
            actions,
            look_again: None,
        }
    }

    /// Nobody let the pod go, and still it is not there: its finalizer was taken away by force.
    fn vanished(&self, attempt: i32) -> Decision {
        let name = self.previous.pod.as_ref().map_or("", |pod| &pod.name);
        let observed = self.observed(Stage::Ended { agent_exit: None }, Some(attempt));
        self.lost(
            attempt,
            observed,
            FailureStatus {
                class: FailureClass::Infrastructure,
                reason: "PodVanished".into(),
                message: format!("pod {name} is gone and its result with it"),
            },
        )
    }

    fn with_pod(&self, attempt: i32, pod: Harvest<'_>) -> Decision {
        let clock = Clock {
            now: self.world.now,
            start_patience: self.world.settings.start_patience,
            wall_clock: wall_clock(pod),
        };
        let others = |other: &&Pod| other.metadata.uid != pod.pod.metadata.uid;
        let fate = fate(pod, clock);
        // What has ended is reported. What has not, or has to be done again, goes once the status says so.
        let settled = match &fate {
            Fate::Ended { .. } => true,
            Fate::Lost(failure) => failure.class == FailureClass::Task,
            Fate::Open { .. } | Fate::Stop => false,
        };
        let mut decision = match fate {
            _ if self.suspended() && !settled => Decision {
                observed: Some(self.observed(Stage::Suspended, Some(attempt))),
                actions: Actions::default(),
                look_again: Some(NEXT_STEP),
            },
            Fate::Ended { agent_exit, result } => {
                let mut observed = self.seen(Stage::Ended { agent_exit }, attempt, pod);
                observed.result = Some(result);
                Decision {
                    observed: Some(observed),
                    actions: Actions::default(),
                    look_again: Some(NEXT_STEP),
                }
            }
            Fate::Lost(failure) => {
                let observed = self.seen(Stage::Ended { agent_exit: None }, attempt, pod);
                self.lost(attempt, observed, failure)
            }
            Fate::Open { look_again } => self.open(attempt, pod, look_again),
            Fate::Stop => {
                let mut decision = self.open(attempt, pod, None);
                decision.actions.delete.extend(deletion(pod.pod));
                decision
            }
        };
        let old = let_go(self.world.pods.iter().filter(others));
        decision.actions.delete.extend(old.delete);
        decision.actions.release.extend(old.release);
        decision
    }

    fn seen(&self, stage: Stage, attempt: i32, pod: Harvest<'_>) -> Observed {
        let runs = !matches!(stage, Stage::Unplaced { .. } | Stage::Starting { .. });
        let mut observed = self.observed(stage, Some(attempt));
        record(&mut observed, self.world, pod, attempt, runs);
        observed
    }

    fn open(&self, attempt: i32, pod: Harvest<'_>, look_again: Option<i64>) -> Decision {
        // A sidecar that is restarted while the agent acts does not set the phase back.
        let (stage, until) = if pod.acted() {
            (Stage::Running, None)
        } else {
            let (reason, message, until) = reason(self.world, pod);
            let stage = if UNPLACED.contains(&reason.as_str()) {
                Stage::Unplaced { reason, message }
            } else {
                Stage::Starting { reason, message }
            };
            (stage, until)
        };
        Decision {
            observed: Some(self.seen(stage, attempt, pod)),
            actions: Actions::default(),
            look_again: look_again.into_iter().chain(until).min(),
        }
    }

    /// An attempt without a result: the end of the episode, or one more.
    fn lost(&self, attempt: i32, mut observed: Observed, mut failure: FailureStatus) -> Decision {
        let retries = self.previous.retries.unwrap_or_default();
        let limit = retry::limit(self.world.episode);
        if failure.class == FailureClass::Infrastructure && retries < limit {
            let retries = retries + 1;
            let stage = Stage::Waiting {
                reason: retry::RETRYING.into(),
                message: retry::message(attempt, &failure, retry::delay(self.world.settings, retries)),
            };
            observed = Observed {
                retries: Some(retries),
                ..self.observed(stage, Some(attempt))
            };
        } else {
            if failure.class == FailureClass::Infrastructure {
                failure.message = format!(
                    "{}; no attempt is left: spec.retry.limit is {limit}, and {attempt} were made",
                    failure.message
                );
            }
            observed.failure = Some(failure);
        }
        Decision {
            observed: Some(observed),
            actions: Actions::default(),
            look_again: Some(NEXT_STEP),
        }
    }
}
