//! The way of one episode through a run: prepared, seated, run, reported.

use std::fs;
use std::io;
use std::path::Path;
use std::pin::pin;

use jiff::Timestamp;

use super::cache::write_whole;
use super::episode::{self, Agent, End, Job, Sight};
use super::layout::{EpisodeDir, dir_of, make};
use super::machine::{self, privately};
use super::progress::Line;
use super::record::{Record, provenance, read_result};
use super::report;
use super::resume::{Configuration, Decision};
use super::runner::Shared;
use super::unready::{Doing, NotDone, Unready};
use super::workshop::{Ready, content};
use crate::api::{Episode, Task};
use crate::plan::{self, Dirs, Sourced, Stage, name_of, namespace_of};
use crate::wire::result::EpisodeResult;

/// What became of an episode.
#[derive(Clone, Debug)]
pub struct Play {
    /// The Episode with its status.
    pub episode: Episode,
    /// What the user should know of it.
    pub remark: Option<String>,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
}

/// Plays the episode with this number among the documents.
pub async fn play(shared: &Shared, number: usize, decision: Decision, configuration: Configuration) -> Play {
    let sourced = &shared.checked.episodes[number];
    let episode = &sourced.resource;
    let line = shared.workshop.progress.line(name_of(episode));
    let (previous, attempt, anew) = match decision {
        Decision::Keep(kept) => {
            line.end(&format!("{}; kept from an earlier run", told(&kept)));
            return Play {
                episode: *kept,
                remark: None,
                interrupted: false,
            };
        }
        Decision::Continue { previous, attempt } => (previous, attempt, false),
        Decision::Anew { attempt } => (None, attempt, true),
    };
    let dir = shared.run.episode(&episode.metadata);
    let Some(task) = shared.checked.task_of(episode).map(|task| &task.resource) else {
        // Validation has seen to it that there is one.
        return Play {
            episode: episode.clone(),
            remark: Some(format!("{}: its Task is missing", name_of(episode))),
            interrupted: false,
        };
    };
    let mut record = Record::new(task, episode.clone(), &dir, previous.as_deref());
    record.observed.attempt = Some(attempt);
    record.observed.node = Some(shared.host.clone());
    if !anew {
        record.observed.result = read_result(&dir);
    }
    let mut player = Player {
        shared,
        sourced,
        task,
        number,
        dir,
        record,
        line,
    };
    let end = match player.open(anew, &configuration) {
        Ok(()) => player.act(configuration).await,
        Err(unready) => Err(unready.into()),
    };
    player.close(end)
}

struct Player<'a> {
    shared: &'a Shared,
    sourced: &'a Sourced<Episode>,
    task: &'a Task,
    number: usize,
    dir: EpisodeDir,
    record: Record,
    line: Line,
}

impl Player<'_> {
    /// Makes its directory what it should be.
    fn open(&mut self, anew: bool, configuration: &Configuration) -> Result<(), Unready> {
        let dir = &self.dir;
        if anew {
            dir.remove()
                .doing(|| format!("remove {}", dir.root().display()))?;
        }
        dir.create(self.shared.is_root)
            .doing(|| format!("create {}", dir.root().display()))?;
        if anew || !dir.configuration().exists() {
            write_configuration(dir, configuration)?;
        }
        self.publish(false)
    }

    fn publish(&mut self, end: bool) -> Result<(), Unready> {
        let file = self.dir.episode();
        self.record
            .publish(end)
            .doing(|| format!("write {}", file.display()))
    }

    fn stage(&mut self, stage: Stage) -> Result<(), Unready> {
        self.record.observed.stage = stage;
        self.publish(false)
    }

    /// Runs it, from its preparation to the agent's end.
    async fn act(&mut self, configuration: Configuration) -> Result<Option<End>, NotDone> {
        let shared = self.shared;
        let episode = &self.sourced.resource;
        if episode.spec.suspend == Some(true) {
            self.stage(Stage::Suspended)?;
            return Ok(None);
        }
        let started_at = self
            .record
            .episode
            .status
            .as_ref()
            .and_then(|status| status.started_at.clone());
        self.record.observed.started_at = Some(started_at.map_or_else(Timestamp::now, |time| time.0));
        self.line.detail("waits for its task");
        self.stage(Stage::Starting {
            reason: "PreparingData".into(),
            message: "Packages and data of the Task are prepared".into(),
        })?;
        let ready = shared.workshop.ready(&shared.checked, self.task).await?;
        self.check_data(&ready, configuration)?;
        self.record.observed.provenance = Some(provenance(
            plan::task_digest(self.task, self.prepare()?),
            ready.data.digest.clone(),
            &shared.hardware,
        ));
        let resources = &self.task.spec.environment.resources;
        let milli_cpu = resources
            .cpu
            .milli()
            .and_then(|milli| u64::try_from(milli).ok())
            .unwrap_or(1000);
        let memory = resources.memory.bytes();
        let stop = &shared.workshop.stop;
        let mut seat = pin!(shared.seats.take(milli_cpu, memory.unwrap_or(0), stop));
        let at_once = tokio::select! {
            biased;
            seat = &mut seat => Some(seat),
            () = std::future::ready(()) => None,
        };
        let seat = match at_once {
            Some(seat) => seat,
            None => {
                self.line.say("waits for its turn");
                self.stage(Stage::Waiting {
                    reason: "Queued".into(),
                    message: "Other episodes run first".into(),
                })?;
                seat.await
            }
        };
        let _seat = seat.ok_or(NotDone::Stopped)?;
        self.line.say("starting");
        self.stage(Stage::Starting {
            reason: "StartingProcesses".into(),
            message: "Relay and executor start".into(),
        })?;
        let user = if shared.is_root {
            machine::take_user(&shared.workshop.cache)?
        } else {
            None
        };
        let number = self.number;
        let job = Job {
            dojo: shared.workshop.dojo.clone(),
            dir: self.dir.clone(),
            relay: plan::resolve(
                self.task,
                episode,
                &Dirs {
                    public: shown(&ready.data.public),
                    workspace: shown(&self.dir.workspace()),
                },
            ),
            hidden: vec![
                shared.run.root().to_owned(),
                shared.workshop.cache.clone(),
                ready.data.private.clone(),
            ],
            data: ready.data,
            environment: ready.environment,
            sandbox: self.task.spec.environment.sandbox,
            cpus: milli_cpu.div_ceil(1000).max(1),
            memory,
            user: user.as_ref().map(|user| user.id),
            agent: self.agent()?,
            socket: shared
                .sockets
                .socket(number)
                .doing(|| "create a directory for a socket".to_owned())?,
        };
        let stop = stop.clone();
        let end = episode::run(&job, &stop, |sight| self.see(sight)).await;
        Ok(Some(end))
    }

    /// Data are part of what an episode was started with.
    fn check_data(&self, ready: &Ready, mut configuration: Configuration) -> Result<(), Unready> {
        configuration.data = Some(ready.data.digest.clone());
        configuration.public = Some(ready.data.public.clone());
        let before = fs::read(self.dir.configuration())
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Configuration>(&bytes).ok());
        let ways = "start it anew by --fresh, or run into another directory by --out DIR";
        if let Some(before) = before {
            if before.data.is_some() && before.data != configuration.data {
                return Err(Unready::machine(
                    "DataChanged",
                    format!("the data are not those that the episode was started with; {ways}"),
                ));
            }
            if let Some(public) = before.public.filter(|public| *public != ready.data.public) {
                return Err(Unready::machine(
                    "DataMoved",
                    format!(
                        "the episode was started with its data in {}, now they are in {}; put them (or the cache) back \
                         where they were, {ways}",
                        public.display(),
                        ready.data.public.display()
                    ),
                ));
            }
        }
        write_configuration(&self.dir, &configuration)
    }

    fn prepare(&self) -> Result<Option<&[u8]>, Unready> {
        let source = self.task.spec.data.prepare.as_ref();
        source
            .map(|source| {
                content(
                    &self.shared.checked,
                    namespace_of(self.task),
                    &source.config_map_key_ref,
                )
            })
            .transpose()
    }

    /// Who acts, with what it needs laid out.
    fn agent(&self) -> Result<Agent, Unready> {
        let Sourced { resource, file } = self.sourced;
        let agent = &resource.spec.agent;
        if let Some(source) = &agent.replay {
            let key = &source.config_map_key_ref;
            let actions = content(&self.shared.checked, namespace_of(resource), key)?;
            let path = self.dir.actions().join(&key.key);
            make(&self.dir.actions(), 0o700)
                .and_then(|()| write_whole(&path, actions))
                .doing(|| format!("write {}", path.display()))?;
            return Ok(Agent::Replay(path));
        }
        let Some(container) = &agent.container else {
            return Err(Unready::machine(
                "AgentNotSupported",
                format!(
                    "an agent of kind {} does not run on this machine yet",
                    agent.kind()
                ),
            ));
        };
        let cwd = dir_of(Path::new(file));
        let cwd = std::path::absolute(cwd).doing(|| format!("find {}", cwd.display()))?;
        let env = container.env.iter();
        Ok(Agent::Command {
            command: container.command.iter().chain(&container.args).cloned().collect(),
            env: env
                .map(|variable| (variable.name.clone(), variable.value.clone()))
                .collect(),
            cwd,
        })
    }

    fn see(&mut self, sight: Sight) {
        match sight {
            Sight::Running => {
                self.record.observed.stage = Stage::Running;
                self.line.say("running");
            }
            Sight::Result(result) => {
                if result.steps > 0 && self.record.observed.stage == Stage::Running {
                    self.line.say(&step_line(&result));
                }
                self.record.observed.result = Some(*result);
            }
        }
        // A disk that is full now may have room at the end, where it counts.
        let _ = self.publish(false);
    }

    fn fail(&mut self, unready: &Unready) -> String {
        self.record.fail(unready);
        report::failure(&self.sourced.resource, unready)
    }

    /// Reports the end.
    fn close(mut self, end: Result<Option<End>, NotDone>) -> Play {
        let mut remark = None;
        let mut interrupted = false;
        match end {
            Ok(None) => {}
            Ok(Some(End::Agent(code))) => {
                self.record.observed.stage = Stage::Ended {
                    agent_exit: Some(code),
                };
                if code != 0 {
                    let what = format!("its agent ended with exit code {code}");
                    remark = Some(report::crash(
                        &self.sourced.resource,
                        &what,
                        &self.dir.log("agent"),
                    ));
                }
            }
            Ok(Some(End::SandboxSpoilt(message))) => {
                self.record.observed.stage = Stage::Ended { agent_exit: None };
                remark = Some(report::crash(
                    &self.sourced.resource,
                    &message,
                    &self.dir.log("exec"),
                ));
            }
            Ok(Some(End::Stopped)) | Err(NotDone::Stopped) => {
                interrupted = true;
                self.record.observed.stage = Stage::Waiting {
                    reason: "Interrupted".into(),
                    message: "The run was stopped: run the same command again to continue".into(),
                };
            }
            Ok(Some(End::Failed(unready))) => {
                self.record.observed.stage = Stage::Ended { agent_exit: None };
                remark = Some(self.fail(&unready));
            }
            Err(NotDone::Unready(unready)) => remark = Some(self.fail(&unready)),
        }
        self.record.measure_trajectory(&self.dir);
        if let Err(unready) = self.publish(true) {
            remark = Some(report::failure(&self.sourced.resource, &unready));
        }
        let told = told(&self.record.episode);
        self.line.end(&if interrupted {
            format!("interrupted; {told}")
        } else {
            told
        });
        Play {
            episode: self.record.episode,
            remark,
            interrupted,
        }
    }
}

fn write_configuration(dir: &EpisodeDir, configuration: &Configuration) -> Result<(), Unready> {
    let file = dir.configuration();
    serde_json::to_vec_pretty(configuration)
        .map_err(io::Error::other)
        .and_then(|bytes| privately(|| write_whole(&file, &bytes)))
        .doing(|| format!("write {}", file.display()))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Where an episode stands, while it runs.
fn step_line(result: &EpisodeResult) -> String {
    let best = match result.score {
        Some(score) => format!("best score {score:.5}, reward {:.4}", result.reward),
        None => "no valid submission yet".to_owned(),
    };
    format!("step {}/{}, {best}", result.steps, result.step_limit)
}

/// Where an episode stands, by its status.
fn told(episode: &Episode) -> String {
    let Some(status) = &episode.status else {
        return "not started".to_owned();
    };
    let mut parts = vec![format!("{:?}", status.phase)];
    parts.extend(status.outcome.map(|outcome| format!("{outcome:?}")));
    parts.extend(status.steps.as_ref().map(|steps| format!("{steps} steps")));
    parts.extend(status.reward.map(|reward| format!("reward {reward:.4}")));
    parts.join(", ")
}
