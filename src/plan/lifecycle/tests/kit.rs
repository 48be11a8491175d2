//! A small cluster to decide about, and what becomes of it when a decision is carried out.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value};

use super::super::*;
use super::shape::{remove, shape};
use crate::api::EpisodeStatus;
use crate::api::status::RewardBasis;
use crate::plan::document::name_of;
use crate::plan::pod::{Ids, RESULT_FINALIZER, ReportOptions, cluster};
use crate::plan::status::{Stage, status};
use crate::wire::result::EpisodeResult;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

pub(super) fn task(environment: &str) -> Task {
    let text = format!(
        "{{apiVersion: mledojo.dev/v1alpha1, kind: Task, metadata: {{name: iris, namespace: lab, generation: 3}}, spec: \
         {{title: Irises, description: Tell them apart., domain: Tabular, data: {{prepare: {{configMapKeyRef: {{name: \
         code, key: prepare.py}}}}}}, environment: {environment}, evaluation: {{metric: {{builtin: Accuracy}}}}, limits: \
         {{wallClock: 1h}}}}, status: {{observedGeneration: 3, digest: abc, conditions: [{{type: TaskReady, status: \
         'True', reason: Ready, message: '', observedGeneration: 3, lastTransitionTime: '2026-01-01T00:00:00Z'}}]}}}}"
    );
    serde_saphyr::from_str(&text).unwrap()
}

pub(super) fn result(sequence: u64) -> EpisodeResult {
    EpisodeResult {
        sequence,
        outcome: None,
        task_error: None,
        sandbox_error: None,
        steps: 3,
        step_limit: 15,
        score: Some(0.5),
        reward: 0.5,
        basis: RewardBasis::Score,
        valid_submission: true,
        places: Vec::new(),
        medal: None,
        above_median: None,
        wall_seconds: 1.0,
        execution_seconds: 1.0,
        cpu_seconds: 1.0,
        peak_memory_bytes: 1,
        trajectory_sha256: "abc0".repeat(16),
        trajectory_bytes: 10,
        executor: true,
        layers: Vec::new(),
    }
}

/// Everything that a decision is about.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) episode: Episode,
    pub(super) task: Option<Task>,
    pub(super) pods: Vec<Pod>,
    pub(super) nodes: Option<Vec<NodeFacts>>,
    pub(super) settings: Settings,
    pub(super) now: i64,
    /// Statuses that were written.
    pub(super) writes: Vec<EpisodeStatus>,
    /// Names of pods that were made.
    pub(super) made: Vec<String>,
    /// The Episode is deleted.
    pub(super) deleted: bool,
}

impl Scene {
    /// An Episode that was made at second 0, and its Task.
    pub(super) fn new() -> Self {
        let text = "{apiVersion: mledojo.dev/v1alpha1, kind: Episode, metadata: {name: demo, namespace: lab, uid: e-1, \
                    generation: 1}, spec: {taskRef: {name: iris}, agent: {replay: {configMapKeyRef: {name: code, key: \
                    actions.yaml}}}, seed: 7}}";
        let mut episode: Episode = serde_saphyr::from_str(text).unwrap();
        episode.metadata.creation_timestamp = Some(Time(at(0)));
        Self {
            episode,
            task: Some(task("{image: python}")),
            pods: Vec::new(),
            nodes: None,
            settings: Settings {
                pod: PodOptions {
                    image: "dojo:1".into(),
                    ids: Ids::Fixed,
                    report: Some(ReportOptions {
                        url: "https://reports:8443".into(),
                        authorities: "PEM".into(),
                    }),
                },
                archive: Some("file:///archive".into()),
                start_patience: 300,
                retry_delay: 10,
                keep_pods: true,
            },
            now: 0,
            writes: Vec::new(),
            made: Vec::new(),
            deleted: false,
        }
    }

    /// The same with attempt 1 on record and its pod as `yaml` says, at second 100.
    pub(super) fn with_pod(yaml: &str) -> Self {
        let mut scene = Self::new();
        scene.round();
        scene.now = 1;
        scene.round();
        scene.pods = vec![scene.pod(1, "base: new")];
        scene.round();
        let acted = yaml.contains("base: running") || yaml.contains("base: ended");
        if acted {
            scene.pods = vec![scene.pod(1, "base: running")];
            scene.now = 10;
            scene.round();
        }
        scene.now = 100;
        scene.pods = vec![scene.pod(1, yaml)];
        scene.writes.clear();
        scene
    }

    pub(super) fn suspend(mut self, suspend: bool) -> Self {
        self.episode.spec.suspend = Some(suspend);
        self
    }

    pub(super) fn status(&self) -> EpisodeStatus {
        self.episode.status.clone().unwrap_or_default()
    }

    /// The planned pod of an attempt in the state that `yaml` describes. `@N` is second N.
    pub(super) fn pod(&self, attempt: u32, yaml: &str) -> Pod {
        let task = self.task.clone().unwrap_or_else(|| task("{image: python}"));
        let mut pod = cluster(&task, &self.episode, attempt, &self.settings.pod)
            .unwrap()
            .pod;
        pod.metadata.uid = Some(format!("pod-{attempt}"));
        pod.metadata.creation_timestamp = Some(Time(at(1)));
        shape(&mut pod, yaml);
        pod
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&World {
            episode: &self.episode,
            task: self.task.as_ref(),
            pods: &self.pods,
            nodes: self.nodes.as_deref(),
            settings: &self.settings,
            now: at(self.now),
        })
    }

    /// Decides, acts, reports, as the operator does; says whether anything was done.
    pub(super) fn round(&mut self) -> bool {
        let Decision {
            observed, actions, ..
        } = self.decide();
        let idle = actions == Actions::default();
        self.act(actions);
        let Some(observed) = observed else { return !idle };
        let previous = self.episode.status.clone();
        let new = status(&observed, previous.as_ref(), at(self.now));
        if same_controller_part(previous.as_ref(), &new) {
            return !idle;
        }
        let kept = previous.as_ref().map(live_part);
        let mut merged = controller_part(previous.as_ref(), &new)
            .as_object()
            .unwrap()
            .clone();
        for (name, value) in kept.iter().flat_map(|kept| kept.as_object().unwrap()) {
            merged.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self.episode.status = Some(serde_json::from_value(Value::Object(merged)).unwrap());
        self.writes.push(new);
        true
    }

    fn act(&mut self, actions: Actions) {
        let Actions {
            clear_live,
            create,
            delete,
            release,
            delete_episode,
        } = actions;
        if clear_live && let Some(status) = &mut self.episode.status {
            let live = live_part(status);
            let mut fields = serde_json::to_value(&*status).unwrap();
            let fields = fields.as_object_mut().unwrap();
            fields.retain(|name, _| live.get(name).is_none() || name == "steps");
            *status = serde_json::from_value(Value::Object(fields.clone())).unwrap();
        }
        if let Some(plan) = create {
            let name = name_of(&plan.pod).to_owned();
            // The API server has one pod of a name.
            if self.pods.iter().all(|pod| name_of(pod) != name) {
                self.made.push(name);
                let mut pod = plan.pod;
                pod.metadata.uid = Some(format!("pod-{}", self.made.len()));
                pod.metadata.creation_timestamp = Some(Time(at(self.now)));
                self.pods.push(pod);
            }
        }
        for gone in delete {
            let pod = self
                .pods
                .iter_mut()
                .find(|pod| pod.metadata.uid.as_deref() == Some(&gone.uid));
            let pod = pod.unwrap();
            assert!(
                pod.metadata.deletion_timestamp.is_none(),
                "deleted twice: {}",
                gone.name
            );
            remove(pod, self.now);
        }
        for free in release {
            let pod = self
                .pods
                .iter_mut()
                .find(|pod| pod.metadata.uid.as_deref() == Some(&free.uid));
            pod.unwrap().metadata.finalizers = None;
        }
        self.deleted |= delete_episode;
    }

    /// Rounds until nothing changes; fails where that does not come.
    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            if !self.round() {
                return;
            }
            self.collect();
        }
        panic!("no end of it: {:#?}", self.decide());
    }

    /// What the API server does with deleted pods that nothing holds any more.
    pub(super) fn collect(&mut self) {
        self.pods.retain(|pod| {
            let held = pod
                .metadata
                .finalizers
                .iter()
                .flatten()
                .any(|f| f == RESULT_FINALIZER);
            pod.metadata.deletion_timestamp.is_none() || held
        });
    }
}

/// A decision in a few words: where the episode comes to, and what is done about it.
pub(super) fn summary(scene: &Scene, decision: &Decision) -> String {
    let mut words = Vec::new();
    if let Some(observed) = &decision.observed {
        let status = status(observed, scene.episode.status.as_ref(), at(scene.now));
        words.push(format!("{:?}", status.phase));
        if let Some(failure) = &status.failure {
            words.push(format!("{:?}", failure.class));
        }
        words.extend(status.outcome.map(|outcome| outcome.as_str().to_owned()));
        match (&observed.stage, &status.reason) {
            (Stage::Waiting { reason, message }, _) if reason == "Retrying" => {
                words.push("Retrying".into());
                let lost = message.split(['(', ')']).nth(1).unwrap();
                words.push(lost.into());
            }
            (_, reason) => words.extend(reason.clone()),
        }
    }
    let Actions {
        clear_live,
        create,
        delete,
        release,
        delete_episode,
    } = &decision.actions;
    words.extend(clear_live.then(|| "+clear".into()));
    words.extend(
        create
            .as_ref()
            .map(|plan| format!("+create:{}", name_of(&plan.pod))),
    );
    words.extend(delete.iter().map(|pod| format!("+delete:{}", pod.name)));
    words.extend(release.iter().map(|pod| format!("+release:{}", pod.name)));
    words.extend(delete_episode.then(|| "+delete-episode".into()));
    words.join(" ")
}

/// Message of the condition or failure that says why.
pub(super) fn message(scene: &Scene, decision: &Decision) -> String {
    let observed = decision.observed.as_ref().unwrap();
    let status = status(observed, scene.episode.status.as_ref(), at(scene.now));
    if let Some(failure) = status.failure {
        return failure.message;
    }
    let wanted = match status.phase {
        crate::api::conditions::Phase::Pending if observed.task_problem.is_some() => "TaskReady",
        crate::api::conditions::Phase::Pending if matches!(observed.stage, Stage::Waiting { .. }) => {
            "Admitted"
        }
        _ => "PodReady",
    };
    let conditions: Map<String, Value> = status
        .conditions
        .iter()
        .map(|condition| (condition.type_.clone(), condition.message.clone().into()))
        .collect();
    conditions[wanted].as_str().unwrap().into()
}
