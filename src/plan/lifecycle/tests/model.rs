//! Random lives: whatever happens in whatever order, some things never do.

use super::kit::{Scene, task};
use super::shape::{remove, shape};
use crate::api::conditions::{FailureClass, Phase};
use crate::plan::document::name_of;
use crate::plan::pod::RESULT_FINALIZER;

/// States that a pod may be seen in next, some of them out of order.
const STATES: &[&str] = &[
    "base: new",
    "base: new, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: full}]",
    "base: new, node: node1",
    "base: preparing",
    "base: started",
    "base: running",
    "base: ended",
    "base: ended, phase: Failed, containers: {relay: {state: {terminated: {exitCode: 1}}}}",
    "base: preparing, phase: Failed, containers: {prepare: {state: {terminated: {exitCode: 1}}}}",
    "base: running, containers: {relay: {restartCount: 7, state: {waiting: {reason: CrashLoopBackOff}}, lastState: \
     {terminated: {exitCode: 1, message: RESULT}}}}",
    "base: running, containers: {sandbox: {restartCount: 7, state: {waiting: {reason: CrashLoopBackOff}}, lastState: \
     {terminated: {exitCode: 137, finishedAt: @5}}}}",
    "base: ended, phase: Failed, reason: Evicted, message: 'The node was low on resource: memory. '",
    "base: ended, phase: Failed, reason: Evicted, message: 'Usage of EmptyDir volume \"w\" exceeds the limit \"1Gi\". '",
    "base: started, containers: {agent: {state: {waiting: {reason: ImagePullBackOff}}}}",
    "base: started, containers: {agent: {state: {waiting: {reason: InvalidImageName}}}}",
];

/// The same numbers on each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

fn something_happens(scene: &mut Scene, dice: &mut Dice) {
    scene.now += i64::try_from(dice.below(40)).unwrap();
    let count = scene.pods.len();
    match dice.below(10) {
        0 => scene.task = None,
        1 | 2 => scene.task = Some(task("{image: python}")),
        3 => scene.episode.spec.suspend = Some(dice.below(3) == 0),
        4 if count > 0 => {
            let at = scene.now;
            let pod = &mut scene.pods[dice.below(count)];
            if pod.metadata.deletion_timestamp.is_none() {
                remove(pod, at);
            }
        }
        // Somebody takes a finalizer away by force; before the pod is on record nobody could tell it from one never made.
        5 if count > 0 && dice.below(4) == 0 => {
            let recorded = scene.status().pod.map(|pod| pod.uid);
            scene.pods.retain(|pod| pod.metadata.uid != recorded);
        }
        6 => scene.now += 400,
        _ if count > 0 => {
            let pod = &mut scene.pods[dice.below(count)];
            shape(pod, STATES[dice.below(STATES.len())]);
        }
        _ => {}
    }
    scene.collect();
}

/// What must hold after each round.
fn check(scene: &Scene, seed: u64) {
    let status = scene.status();
    let mut made = scene.made.clone();
    made.sort();
    made.dedup();
    assert_eq!(
        made.len(),
        scene.made.len(),
        "seed {seed}: a pod was made twice: {:?}",
        scene.made
    );
    if let Some(failure) = &status.failure {
        let settled = scene.writes.last().is_some_and(|last| last.reward.is_none());
        assert!(settled, "seed {seed}: a reward with {:?}", failure.class);
    }
    if status.reward.is_some() {
        assert!(
            status
                .failure
                .as_ref()
                .is_none_or(|failure| failure.class != FailureClass::Infrastructure),
            "seed {seed}"
        );
    }
    assert!(status.retries.unwrap_or_default() <= 3, "seed {seed}");
    let attempts = i32::try_from(scene.made.len()).unwrap();
    assert!(
        status.attempt.unwrap_or_default() >= attempts,
        "seed {seed}: a pod without a number on record"
    );
}

#[test]
fn no_pod_is_made_twice_none_is_held_for_ever_and_no_failure_has_a_reward() {
    let (mut ended, mut lives) = (0, 0);
    for seed in 0..80 {
        let mut dice = Dice(seed);
        let mut scene = Scene::new();
        for _ in 0..60 {
            // The operator may look in the middle of anything, or not for a while.
            for _ in 0..dice.below(4) {
                scene.round();
                check(&scene, seed);
            }
            something_happens(&mut scene, &mut dice);
        }
        // From here on all is well: the life comes to an end.
        scene.task = Some(task("{image: python}"));
        scene.episode.spec.suspend = None;
        for _ in 0..12 {
            scene.now += 1000;
            scene.settle();
            check(&scene, seed);
            let number = scene.status().attempt.unwrap_or_default();
            let current = format!("demo-{number}");
            for pod in &mut scene.pods {
                if name_of(pod) == current && pod.metadata.finalizers.is_some() {
                    shape(pod, "base: ended");
                }
            }
        }
        let status = scene.status();
        assert!(status.phase.is_final(), "seed {seed}: {status:?}");
        let held: Vec<&str> = scene
            .pods
            .iter()
            .filter(|pod| {
                pod.metadata
                    .finalizers
                    .iter()
                    .flatten()
                    .any(|held| held == RESULT_FINALIZER)
            })
            .map(name_of)
            .collect();
        assert!(held.is_empty(), "seed {seed}: {held:?}");
        assert!(scene.pods.len() <= 1, "seed {seed}: one pod at most is kept");
        lives += 1;
        ended += usize::from(status.phase == Phase::Completed);
    }
    assert!(ended > lives / 4, "{ended} of {lives} lives have a result");
}
