//! A world for the engine: a configuration, a clock, and what effects come to.

use serde_json::{Value, json};

use super::super::*;
use crate::api::standing::{Grade, Place, Standing};
use crate::wire::channel::{Captured, RunExit, RunFinished, RunRequest, RunUsage, SubmissionFound};
use crate::wire::journal::JournalLine;

/// A Task with two boards and ample limits; `change` has the last word.
pub(super) fn config(change: impl FnOnce(&mut Value)) -> RelayConfig {
    let mut config = json!({
        "episode": "breast-cancer-replay",
        "task": {
            "name": "breast-cancer",
            "title": "Breast cancer diagnosis",
            "description": "Predict whether a tumour is malignant.\n\nColumns: `id`, `target` (a probability).\n",
            "domain": "Tabular",
        },
        "seed": 7,
        "limits": {
            "steps": 40, "wallClockMs": 3_600_000, "actionTimeoutMs": 300_000, "validationTimeoutMs": 60_000,
        },
        "evaluation": {
            "metric": {"builtin": "RocAuc"},
            "submission": {"file": "submission.csv", "idColumn": "id"},
            "leaderboards": [
                {"name": "private", "file": "leaderboard.csv"},
                {"name": "public", "file": "leaderboard_public.csv"},
            ],
        },
        "network": "None",
        "publicDir": "/data/public",
        "workspaceDir": "/workspace",
    });
    change(&mut config);
    serde_json::from_value(config).unwrap()
}

pub(super) fn public() -> PublicFacts {
    let file = |name: &str, size| TreeEntry {
        name: name.into(),
        size,
        children: None,
    };
    PublicFacts {
        sample_submission: Some("id,target\n12,0.5\n40,0.5\n77,0.5\n".into()),
        tree: vec![
            TreeEntry {
                name: "images".into(),
                size: 1_200,
                children: Some((0..10).map(|n| file(&format!("{n}.png"), 700)).collect()),
            },
            file("sample_submission.csv", 1_830),
            file("train.csv", 45_678),
        ],
    }
}

pub(super) fn request(action: &str, params: Value) -> StepRequest {
    match params {
        Value::Object(params) => StepRequest {
            action: action.into(),
            params,
        },
        other => panic!("no arguments: {other}"),
    }
}

/// A point in time, `ms` after the episode was set up.
pub(super) fn at(ms: u64) -> Now {
    Now {
        at: jiff::Timestamp::from_millisecond(1_795_500_000_000 + i64::try_from(ms).unwrap()).unwrap(),
        monotonic_ms: 50_000 + ms,
    }
}

fn captured(text: &str) -> Captured {
    Captured {
        text: text.into(),
        total_bytes: text.len() as u64,
        truncated: false,
    }
}

/// A program that ended.
pub(super) fn ran(exit: RunExit, submission: SubmissionFound, stdout: &str, stderr: &str) -> EffectOutcome {
    EffectOutcome::Ran(Box::new(RunFinished {
        run: 1,
        exit,
        submission,
        stdout: captured(stdout),
        stderr: captured(stderr),
        usage: RunUsage {
            wall_seconds: 1.084,
            cpu_seconds: 0.953,
            peak_memory_bytes: 123_456_789,
        },
    }))
}

/// A program that exited with 0 and sent a submission.
pub(super) fn sent() -> EffectOutcome {
    ran(
        RunExit::Exited { code: 0 },
        SubmissionFound::Sent {
            bytes: 2_345,
            sha256: "ab".repeat(32),
        },
        "fold 0: 0.97\nfold 1: 0.98\n",
        "",
    )
}

/// A program that ended otherwise.
pub(super) fn broke(exit: RunExit, stderr: &str) -> EffectOutcome {
    ran(exit, SubmissionFound::NotLooked, "", stderr)
}

/// A standing on two boards of ten and four.
pub(super) fn standing(score: f64, place: u64, public: u64) -> Standing {
    let rank = |place: u64, total: u64| (total - place + 1) as f64 / total as f64;
    Standing {
        score,
        places: vec![
            Place {
                board: "private".into(),
                place,
                total: 10,
            },
            Place {
                board: "public".into(),
                place: public,
                total: 4,
            },
        ],
        human_rank: Some(f64::midpoint(rank(place, 10), rank(public, 4))),
        medal: Some(crate::api::conditions::Medal::None),
        above_median: Some(place < 5),
    }
}

pub(super) fn graded(visible: Standing, hidden: Option<Standing>) -> EffectOutcome {
    EffectOutcome::Evaluated(Ok(Grade { visible, hidden }))
}

/// An engine with a clock, and a journal as it is on disk.
pub(super) struct Episode {
    pub(super) engine: Engine,
    pub(super) config: RelayConfig,
    pub(super) ms: u64,
    pub(super) journal: Vec<String>,
    /// Effects that were asked for, in order.
    pub(super) effects: Vec<Effect>,
}

impl Episode {
    pub(super) fn new(config: RelayConfig) -> Self {
        let mut engine = Engine::new(config.clone(), public());
        engine.start(at(0));
        Self {
            engine,
            config,
            ms: 0,
            journal: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        at(self.ms)
    }

    pub(super) fn begin(&mut self, request: StepRequest, key: Option<&str>) -> Begin {
        self.engine.begin(request, key.map(Into::into), at(self.ms))
    }

    /// A whole step: each outcome comes a second after its effect, and half a second is thought before it.
    pub(super) fn step(&mut self, request: StepRequest, outcomes: Vec<EffectOutcome>) -> StepReply {
        self.keyed(request, None, outcomes)
    }

    pub(super) fn keyed(
        &mut self,
        request: StepRequest,
        key: Option<&str>,
        outcomes: Vec<EffectOutcome>,
    ) -> StepReply {
        self.ms += 500;
        let mut outcomes = outcomes.into_iter();
        let mut begun = self.begin(request, key);
        let record = loop {
            match begun {
                Begin::Finished(record) => break record,
                Begin::Perform(effect) => {
                    self.effects.push(effect);
                    self.ms += 1_000;
                    let outcome = outcomes.next().expect("an outcome for each effect");
                    begun = match self.engine.advance(outcome, at(self.ms)) {
                        Progress::Perform(effect) => Begin::Perform(effect),
                        Progress::Finished(record) => Begin::Finished(record),
                    };
                }
                other => panic!("not a step: {other:?}"),
            }
        };
        assert_eq!(outcomes.next(), None, "an outcome that nothing asked for");
        self.commit(&record);
        record.reply
    }

    pub(super) fn execute(&mut self, outcomes: Vec<EffectOutcome>) -> StepReply {
        self.step(
            request(
                "execute_code",
                json!({"code": "import os\nprint(os.environ['DOJO_PUBLIC'])\n"}),
            ),
            outcomes,
        )
    }

    pub(super) fn commit(&mut self, record: &StepRecord) {
        let line = JournalLine::Step(Box::new(record.clone()));
        self.journal.push(serde_json::to_string(&line).unwrap());
        self.engine.commit(record);
    }

    pub(super) fn records(&self) -> Vec<StepRecord> {
        self.journal
            .iter()
            .map(|line| match serde_json::from_str(line).unwrap() {
                JournalLine::Step(record) => *record,
                JournalLine::Header(header) => panic!("no step: {header:?}"),
            })
            .collect()
    }

    /// What the journaled records of a page are.
    pub(super) fn read(&self, first: u32, last: u32) -> EffectOutcome {
        let records = self.records();
        EffectOutcome::History(records[first as usize - 1..last as usize].to_vec())
    }

    /// An engine made anew from the journal alone, its clock started `gap_ms` after this moment.
    pub(super) fn rebuilt(&self) -> Engine {
        let mut engine = Engine::new(self.config.clone(), public());
        for record in self.records() {
            engine.commit(&record);
        }
        engine.start(self.now());
        engine
    }
}

pub(super) fn name() -> StepRequest {
    request("request_info", json!({"info_type": "name"}))
}

pub(super) fn execute() -> StepRequest {
    request("execute_code", json!({"code": "pass"}))
}

pub(super) fn run_of(effect: &Effect) -> &RunRequest {
    match effect {
        Effect::Run(run) => run,
        other => panic!("no run: {other:?}"),
    }
}

pub(super) fn type_of(reply: &StepReply) -> ErrorType {
    reply.observation.error.as_ref().unwrap().error_type
}
