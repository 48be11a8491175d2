//! Random episodes against a model that is too simple to be wrong, and against an engine made anew from the journal.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::*;
use super::world::{Episode, at, broke, config, graded, ran, request, sent, standing};
use crate::wire::channel::{RunExit, SubmissionFound};

/// A small generator of numbers (xorshift), so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const STEPS: u32 = 12;
const WALL_CLOCK_MS: u64 = 120_000;

/// What should be true of an episode.
#[derive(Default)]
struct Model {
    steps: u32,
    best: Option<f64>,
    rewards: f64,
    keys: BTreeMap<String, (StepRequest, u32)>,
    over: Option<Budget>,
}

/// Two engines that must never differ: one that is made anew from its journal after random steps, and one that lives on.
struct Pair {
    live: Episode,
    twin: Engine,
    model: Model,
    dice: Dice,
}

/// Without what keeps runs of given-up steps apart; a restart forgets how many there were.
fn comparable(mut effect: Effect) -> Effect {
    match &mut effect {
        Effect::Run(run) => run.run &= u64::from(u32::MAX),
        Effect::Reset { run } => *run &= u64::from(u32::MAX),
        Effect::Evaluate | Effect::ReadHistory { .. } => {}
    }
    effect
}

fn comparable_begin(begin: Begin) -> Begin {
    match begin {
        Begin::Perform(effect) => Begin::Perform(comparable(effect)),
        other => other,
    }
}

fn comparable_progress(progress: Progress) -> Progress {
    match progress {
        Progress::Perform(effect) => Progress::Perform(comparable(effect)),
        other => other,
    }
}

impl Pair {
    fn new(seed: u64) -> Self {
        let live = Episode::new(config(|config| {
            config["limits"] = json!({
                "steps": STEPS, "wallClockMs": WALL_CLOCK_MS, "actionTimeoutMs": 20_000, "validationTimeoutMs": 5_000,
            });
            config["evaluation"]["stepReward"] = "Improvement".into();
        }));
        Self {
            twin: live.rebuilt(),
            live,
            model: Model::default(),
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        }
    }

    fn begin(&mut self, request: &StepRequest, key: Option<&str>) -> Begin {
        let live = comparable_begin(self.live.begin(request.clone(), key));
        let now = self.live.now();
        let twin = self.twin.begin(request.clone(), key.map(Into::into), now);
        assert_eq!(live, comparable_begin(twin));
        live
    }

    fn advance(&mut self, outcome: &EffectOutcome) -> Progress {
        let now = self.live.now();
        let live = comparable_progress(self.live.engine.advance(outcome.clone(), now));
        let twin = comparable_progress(self.twin.advance(outcome.clone(), now));
        assert_eq!(live, twin);
        live
    }

    fn abandon(&mut self) {
        self.live.engine.abandon();
        self.twin.abandon();
    }

    fn commit(&mut self, record: &StepRecord) {
        self.live.commit(record);
        self.twin.commit(record);
        if self.dice.once_in(3) {
            self.live.engine = self.live.rebuilt();
        }
    }

    fn compare(&self) {
        let now = self.live.now();
        let (live, twin, model) = (&self.live.engine, &self.twin, &self.model);
        let (state, result) = (live.state(now), live.result(now));
        assert_eq!(state, twin.state(now));
        assert_eq!(result, twin.result(now));
        assert_eq!(live.spent(now), twin.spent(now));
        let over = model
            .over
            .or_else(|| (self.live.ms >= WALL_CLOCK_MS).then_some(Budget::WallClock));
        assert_eq!(live.spent(now), over);
        if over.is_none() {
            assert_eq!(live.deadline_ms(), Some(at(WALL_CLOCK_MS).monotonic_ms));
            assert_eq!(twin.deadline_ms(), live.deadline_ms());
        }
        assert_eq!(state.steps, model.steps);
        assert_eq!(state.budget.steps, STEPS - model.steps);
        assert_eq!((state.best_raw_score, result.score), (model.best, model.best));
        assert_eq!(result.outcome.is_some(), over.is_some());
        assert!(
            (result.reward - model.rewards).abs() < 1e-12,
            "rewards add up to the best"
        );
    }

    fn request(&mut self) -> StepRequest {
        match self.dice.below(8) {
            0 => request("request_info", json!({"info_type": "name"})),
            1 => request("no_such_action", json!({})),
            2 => request("get_history", json!({"from": self.dice.below(6) + 1, "limit": 3})),
            3 => request("reset", json!({})),
            4 => request("validate_code", json!({"code": "x"})),
            _ => request(
                "execute_code",
                json!({"code": format!("# {}", self.dice.below(3))}),
            ),
        }
    }

    fn outcome(&mut self, effect: &Effect) -> EffectOutcome {
        match effect {
            Effect::Evaluate => match self.dice.below(8) {
                0 => EffectOutcome::Evaluated(Err(GradeFailure::Invalid("row 3".into()))),
                1 => EffectOutcome::Evaluated(Err(GradeFailure::Task("answers".into()))),
                _ => {
                    let tens = self.dice.below(10);
                    // The place follows from the score, as on a real board.
                    graded(standing(tens as f64 / 10.0, 10 - tens, 4), None)
                }
            },
            Effect::Reset { .. } if self.dice.once_in(4) => EffectOutcome::ExecutorLost(Loss::Closed),
            Effect::Reset { .. } => EffectOutcome::ResetDone(Ok(())),
            Effect::ReadHistory { first, last } => self.live.read(*first, *last),
            Effect::Run(_) => match self.dice.below(8) {
                0 => EffectOutcome::ExecutorLost(Loss::Closed),
                1 => broke(RunExit::Exited { code: 1 }, "Boom\n"),
                2 => broke(RunExit::TimedOut { killed: true }, ""),
                3 => ran(RunExit::Exited { code: 0 }, SubmissionFound::Missing, "", ""),
                _ => sent(),
            },
        }
    }

    /// One request to its end; false when it was refused, replayed or given up.
    fn step(&mut self) -> bool {
        self.live.ms += self.dice.below(12_000);
        self.compare();
        let mut asked = self.request();
        let key = (!self.dice.once_in(3)).then(|| format!("key-{}", self.dice.below(8)));
        if let Some(key) = &key
            && let Some((earlier, step)) = self.model.keys.get(key).cloned()
        {
            if self.dice.once_in(2) {
                asked = earlier.clone();
            }
            let expected = if asked == earlier {
                Begin::Replay { step }
            } else {
                Begin::Refused(Refusal::IdempotencyConflict { step: Some(step) })
            };
            assert_eq!(self.begin(&asked, Some(key)), expected);
            return false;
        }
        let mut begun = self.begin(&asked, key.as_deref());
        let by_clock = (self.live.ms >= WALL_CLOCK_MS).then_some(Budget::WallClock);
        if let Some(budget) = self.model.over.or(by_clock) {
            assert_eq!(begun, Begin::Refused(Refusal::EpisodeOver(budget)));
            return false;
        }
        let mut cut = false;
        let (record, graded) = loop {
            self.interject(&asked, key.as_deref());
            if self.dice.once_in(20) {
                self.abandon();
                return false;
            }
            match begun {
                Begin::Finished(record) => break (record, None),
                Begin::Perform(effect) => {
                    let outcome = self.outcome(&effect);
                    self.live.ms += self.dice.below(6_000);
                    if let (Effect::Run(run), EffectOutcome::Ran(ran)) = (&effect, &outcome) {
                        let own = if run.submission.is_some() { 20_000 } else { 5_000 };
                        assert!(run.timeout_ms <= own);
                        cut = run.timeout_ms < own && matches!(ran.exit, RunExit::TimedOut { .. });
                    }
                    match self.advance(&outcome) {
                        Progress::Perform(effect) => begun = Begin::Perform(effect),
                        Progress::Finished(record) => {
                            let graded = match outcome {
                                EffectOutcome::Evaluated(Ok(grade)) => Some(grade.visible),
                                _ => None,
                            };
                            break (record, graded);
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        };
        self.check(&record, graded.as_ref(), cut);
        if let Some(key) = key {
            self.model.keys.insert(key, (asked, record.step));
        }
        self.commit(&record);
        self.compare();
        true
    }

    /// What others ask while the step runs.
    fn interject(&mut self, asked: &StepRequest, key: Option<&str>) {
        let other = request("request_info", json!({}));
        assert_eq!(self.begin(&other, Some("other")), Begin::Refused(Refusal::Busy));
        if let Some(key) = key {
            assert_eq!(self.begin(asked, Some(key)), Begin::Join);
            assert_eq!(
                self.begin(&other, Some(key)),
                Begin::Refused(Refusal::IdempotencyConflict { step: None })
            );
        }
    }

    fn check(&mut self, record: &StepRecord, graded: Option<&crate::api::standing::Standing>, cut: bool) {
        let model = &mut self.model;
        model.steps += 1;
        let rank_before = model.best.map_or(0.0, rank);
        if let Some(standing) = graded {
            model.best = Some(model.best.map_or(standing.score, |best| best.max(standing.score)));
        }
        let gain = model.best.map_or(0.0, rank) - rank_before;
        model.rewards += gain;
        model.over = if cut || self.live.ms >= WALL_CLOCK_MS {
            Some(Budget::WallClock)
        } else {
            (model.steps == STEPS).then_some(Budget::Steps)
        };
        let reply = &record.reply;
        assert_eq!((record.step, reply.step), (model.steps, model.steps));
        assert_eq!(reply.reward, gain);
        assert_eq!(reply.truncated, model.over.is_some());
        assert_eq!(reply.observation.truncated_by, model.over);
        assert_eq!(reply.observation.best_raw_score, model.best);
        assert_eq!(reply.observation.budget.steps, STEPS - model.steps);
        assert_eq!(
            reply.observation.error.is_some(),
            reply.observation.action_status == ActionStatus::Failed
        );
        if let Some(standing) = graded {
            assert_eq!(reply.observation.current_raw_score, standing.score);
        } else {
            assert_eq!((reply.observation.current_raw_score, gain), (0.0, 0.0));
        }
    }
}

/// HumanRank of a score of [`Pair::outcome`].
fn rank(score: f64) -> f64 {
    let tens = (score * 10.0).round() as u64;
    standing(score, 10 - tens, 4).human_rank.unwrap_or_default()
}

#[test]
fn random_episodes_do_as_the_model_says_and_survive_restarts() {
    let (mut finished, mut by_steps, mut by_clock, mut valid) = (0, 0, 0, 0);
    for seed in 1..=200 {
        let mut pair = Pair::new(seed);
        for _ in 0..40 {
            finished += u32::from(pair.step());
        }
        by_steps += u32::from(pair.model.over == Some(Budget::Steps));
        by_clock += u32::from(pair.model.over == Some(Budget::WallClock));
        valid += u32::from(pair.model.best.is_some());
    }
    // The generator must reach what it is there for.
    assert!(finished > 1_000, "{finished} steps");
    assert!(
        by_steps > 10 && by_clock > 10,
        "{by_steps} ended by steps, {by_clock} by the clock"
    );
    assert!(valid > 100, "{valid} episodes with a valid submission");
}

#[test]
fn a_journal_that_was_read_back_gives_the_same_replies_from_there_on() {
    let mut pair = Pair::new(5);
    while pair.model.steps < 6 {
        pair.step();
    }
    let asked = request("get_history", json!({}));
    let later = at(pair.live.ms + 10);
    let page = pair.live.read(1, 6);
    let mut replies = Vec::new();
    for mut engine in [pair.live.rebuilt(), pair.live.rebuilt()] {
        engine.begin(asked.clone(), None, later);
        let Progress::Finished(record) = engine.advance(page.clone(), later) else {
            panic!("not finished")
        };
        replies.push(record.reply);
    }
    assert_eq!(replies[0], replies[1]);
    assert_eq!(replies[0].step, 7);
}
