//! The way of a step: begin, effects, journal, commit, result file, reply.
//!
//! Everything that counts happens under one lock that is never held over an await: the engine decides, and a finished
//! step is written and taken into the state in one go. Effects run in a task of the step's own, so a client that goes
//! away neither stops the step nor loses it; the same request again joins it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::answer::{Answer, Problem};
use super::executor::Executor;
use super::grading::Grading;
use super::journal::Journal;
use super::result::ResultFile;
use crate::env::{Begin, Effect, Engine, Now, Progress};
use crate::metrics::RelayMetrics;
use crate::wire::agent::{ActionStatus, StateReply, StepRequest, action};
use crate::wire::journal::StepRecord;
use crate::wire::result::EpisodeResult;

/// Pause between two `fsync`s of the journal: what a power cut can cost at most.
const SYNC_PAUSE: Duration = Duration::from_secs(1);

/// One episode, shared by all tasks of the relay.
#[derive(Debug)]
pub(super) struct Episode {
    pub(super) executor: Executor,
    pub(super) grading: Grading,
    desk: Mutex<Desk>,
    clock: Instant,
    metrics: RelayMetrics,
    /// Told after each line of the journal.
    written: Notify,
    /// Where the operator's reporter finds the latest result.
    reports: Option<watch::Sender<Option<EpisodeResult>>>,
}

/// What one lock guards.
#[derive(Debug)]
struct Desk {
    engine: Engine,
    journal: Journal,
    result: ResultFile,
    /// Answer of the step that runs, when it comes.
    running: Option<watch::Receiver<Option<Answer>>>,
    /// Whether an executor was ever connected to this process.
    started: bool,
    layers: Vec<String>,
}

/// What an episode is made of.
pub(super) struct Parts {
    pub(super) engine: Engine,
    pub(super) journal: Journal,
    pub(super) result: ResultFile,
    pub(super) executor: Executor,
    pub(super) grading: Grading,
    pub(super) metrics: RelayMetrics,
    pub(super) reports: Option<watch::Sender<Option<EpisodeResult>>>,
}

impl Episode {
    /// An episode that waits for its executor.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            engine,
            journal,
            result,
            executor,
            grading,
            metrics,
            reports,
        } = parts;
        metrics
            .journal_bytes
            .set(i64::try_from(journal.bytes()).unwrap_or(i64::MAX));
        Self {
            executor,
            grading,
            desk: Mutex::new(Desk {
                engine,
                journal,
                result,
                running: None,
                started: false,
                layers: Vec::new(),
            }),
            clock: Instant::now(),
            metrics,
            written: Notify::new(),
            reports,
        }
    }

    fn now(&self) -> Now {
        Now {
            at: Timestamp::now(),
            monotonic_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A panic under the lock is a defect that [`Guard`] turns into an error of that step; the engine's state changes
    /// in `commit` alone.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request and answers it when the step is done.
    pub(super) async fn step(self: &Arc<Self>, request: StepRequest, key: Option<String>) -> Answer {
        let mut answer = match self.begin(request, key) {
            Taken::Now(answer) => return answer,
            Taken::Later(answer) => answer,
        };
        let lost = || Problem::failed("it ended without an answer");
        let answered = answer.wait_for(Option::is_some).await.map_err(|_| lost())?;
        answered.clone().unwrap_or_else(|| Err(lost()))
    }

    fn begin(self: &Arc<Self>, request: StepRequest, key: Option<String>) -> Taken {
        let mut desk = self.desk();
        let now = self.now();
        match desk.engine.begin(request, key, now) {
            Begin::Finished(_) | Begin::Perform(_) if !desk.started => {
                desk.engine.abandon();
                Taken::Now(Err(Problem::not_ready()))
            }
            Begin::Finished(record) => Taken::Now(self.finish(&mut desk, &record)),
            Begin::Perform(Effect::Run(_) | Effect::Reset { .. }) if !self.executor.connected() => {
                desk.engine.abandon();
                Taken::Now(Err(Problem::not_ready()))
            }
            Begin::Perform(effect) => {
                let (guard, answer) = Guard::new(Arc::clone(self));
                desk.running = Some(answer.clone());
                drop(desk);
                tokio::spawn(Arc::clone(self).carry_out(effect, guard));
                Taken::Later(answer)
            }
            Begin::Replay { step } => Taken::Now(match desk.journal.read(step) {
                Ok(record) => reply(&record),
                Err(error) => Err(Problem::failed(&format!(
                    "step {step} cannot be read again: {error}"
                ))),
            }),
            Begin::Join => match desk.running.clone() {
                Some(answer) => Taken::Later(answer),
                None => Taken::Now(Err(Problem::failed("the step to join has just ended"))),
            },
            Begin::Refused(refusal) => Taken::Now(Err(refusal.into())),
        }
    }

    /// Effect by effect to the end of the step.
    async fn carry_out(self: Arc<Self>, mut effect: Effect, mut guard: Guard) {
        let mut submission = None;
        loop {
            let outcome = match self.perform(effect, &mut submission).await {
                Ok(outcome) => outcome,
                Err(problem) => return guard.answer(Err(problem)),
            };
            let mut desk = self.desk();
            match desk.engine.advance(outcome, self.now()) {
                Progress::Perform(next) => effect = next,
                Progress::Finished(record) => {
                    let answer = self.finish(&mut desk, &record);
                    desk.running = None;
                    drop(desk);
                    return guard.answer_finished(answer);
                }
            }
        }
    }

    /// Writes a finished step and takes it into the state; only then there is a reply.
    fn finish(&self, desk: &mut Desk, record: &StepRecord) -> Answer {
        if let Err(error) = desk.journal.append(record) {
            tracing::error!(%error, step = record.step, "the journal cannot be written; the step is given up");
            desk.engine.abandon();
            return Err(Problem::journal(&error));
        }
        desk.engine.commit(record);
        self.written.notify_one();
        self.metrics
            .journal_bytes
            .set(i64::try_from(desk.journal.bytes()).unwrap_or(i64::MAX));
        self.metrics.step(
            known_action(&record.action),
            record.reply.observation.action_status == ActionStatus::Success,
            Duration::from_millis(record.duration_ms),
        );
        self.write_result(desk);
        reply(record)
    }

    /// Writes the result before any step; `task_error` says that no further one will come.
    pub(super) fn write_first_result(&self, task_error: Option<String>) {
        self.put_result(&self.desk(), task_error);
    }

    fn write_result(&self, desk: &Desk) {
        self.put_result(desk, None);
    }

    /// The result so far. A failure is logged and is not the step's: the journal has it, and the next step tries again.
    fn put_result(&self, desk: &Desk, task_error: Option<String>) {
        let mut result = desk.engine.result(self.now());
        result.trajectory_sha256 = desk.journal.sha256();
        result.trajectory_bytes = desk.journal.bytes();
        result.executor = desk.started;
        result.layers.clone_from(&desk.layers);
        result.task_error = task_error.or(result.task_error);
        if let Err(error) = desk.result.write(&result) {
            tracing::error!(%error, "the result file cannot be written");
        }
        if let Some(reports) = &self.reports {
            // The reporter takes it from here when it can.
            reports.send_replace(Some(result));
        }
    }

    /// An executor is there. The first one starts the wall clock.
    pub(super) fn executor_connected(self: &Arc<Self>, layers: Vec<String>) {
        let mut desk = self.desk();
        desk.layers = layers;
        if !desk.started {
            desk.started = true;
            let now = self.now();
            desk.engine.start(now);
            tokio::spawn(Arc::clone(self).watch_deadline());
        }
        self.write_result(&desk);
    }

    /// Writes the outcome when the wall clock runs out while no step runs; a step's own end writes it otherwise.
    async fn watch_deadline(self: Arc<Self>) {
        let Some(deadline) = self.desk().engine.deadline_ms() else {
            return;
        };
        let at = self.clock + Duration::from_millis(deadline);
        tokio::time::sleep_until(at.into()).await;
        let desk = self.desk();
        if desk.running.is_none() {
            tracing::info!("the wall clock of the episode is spent");
            self.write_result(&desk);
        }
    }

    /// Syncs the journal whenever something was written, for ever.
    pub(super) async fn sync_journal(self: Arc<Self>) {
        let file = self.desk().journal.sync_handle();
        loop {
            self.written.notified().await;
            let file = Arc::clone(&file);
            let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
            if let Ok(Err(error)) = synced {
                tracing::error!(%error, "the journal cannot be synced");
            }
            tokio::time::sleep(SYNC_PAUSE).await;
        }
    }

    /// The journal's file, for the last sync.
    pub(super) fn journal_file(&self) -> Arc<std::fs::File> {
        self.desk().journal.sync_handle()
    }

    /// Where the episode stands.
    pub(super) fn state(&self) -> StateReply {
        self.desk().engine.state(self.now())
    }

    /// Steps of the journal, for the engine.
    pub(super) fn read_steps(&self, first: u32, last: u32) -> io::Result<Vec<StepRecord>> {
        self.desk().journal.read_range(first, last)
    }
}

/// What became of a request.
enum Taken {
    Now(Answer),
    Later(watch::Receiver<Option<Answer>>),
}

/// Sees to it that a step which runs is answered, even where its task panics.
struct Guard {
    episode: Arc<Episode>,
    answer: watch::Sender<Option<Answer>>,
    done: bool,
}

impl Guard {
    fn new(episode: Arc<Episode>) -> (Self, watch::Receiver<Option<Answer>>) {
        let (answer, receiver) = watch::channel(None);
        let guard = Self {
            episode,
            answer,
            done: false,
        };
        (guard, receiver)
    }

    /// The step is in the journal, or was given up by [`Episode::finish`].
    fn answer_finished(&mut self, answer: Answer) {
        self.done = true;
        self.answer.send_replace(Some(answer));
    }

    /// The step is given up here.
    fn answer(&mut self, answer: Answer) {
        let mut desk = self.episode.desk();
        desk.engine.abandon();
        desk.running = None;
        // A deadline that passed while the step ran has written nothing.
        self.episode.write_result(&desk);
        drop(desk);
        self.answer_finished(answer);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.done {
            self.answer(Err(Problem::failed("the relay has a defect")));
        }
    }
}

/// The reply as it is sent; the same bytes live and from the journal.
fn reply(record: &StepRecord) -> Answer {
    serde_json::to_vec(&record.reply)
        .map(Into::into)
        .map_err(|error| Problem::failed(&format!("its reply cannot be encoded: {error}")))
}

/// Labels come from a closed set, whatever an agent calls its actions.
fn known_action(named: &str) -> &'static str {
    action::ALL
        .into_iter()
        .find(|known| *known == named)
        .unwrap_or("unknown")
}
