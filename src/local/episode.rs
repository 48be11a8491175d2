//! One episode: relay, executor and agent, from their start to the agent's end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::data::Data;
use super::keeper::{GaveUp, Keeper};
use super::layout::EpisodeDir;
use super::lock::open_log;
use super::machine::privately;
use super::process::{Invocation, Role};
use super::record::read_result;
use super::signals::Stop;
use super::unready::{Doing, Unready};
use super::venv::Environment;
use crate::api::SandboxMode;
use crate::plan::status::SANDBOX_REFUSED;
use crate::wire::config::RelayConfig;
use crate::wire::result::EpisodeResult;

/// How often the result file is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Time for processes of an earlier run to end, which they do when they notice that it is gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for relay and executor to be ready.
const START_TIME: Duration = Duration::from_secs(120);
/// Time that an agent has for its end after a budget is spent; `dojo agent` needs less.
const OVERTIME: Duration = Duration::from_secs(60);
/// Time that each process has for its end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// Exit codes of a relay that a restart would repeat: wrong input, broken Task.
const RELAY_LAST_WORDS: &[i32] = &[2, RELAY_TASK_BROKEN];
const RELAY_TASK_BROKEN: i32 = 3;
/// Exit code of an executor that a restart would repeat: wrong input, or no sandbox as strong as required.
const EXEC_LAST_WORDS: &[i32] = &[2];

/// Who acts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Agent {
    /// Plays the actions of a file.
    Replay(PathBuf),
    /// A command of the user's.
    Command {
        /// Program and arguments.
        command: Vec<String>,
        /// Variables on top of the runner's.
        env: Vec<(String, String)>,
        /// Working directory.
        cwd: PathBuf,
    },
}

/// An episode that can start.
#[derive(Clone, Debug)]
pub struct Job {
    /// This program's own executable.
    pub dojo: PathBuf,
    /// Its directory.
    pub dir: EpisodeDir,
    /// Configuration of its relay.
    pub relay: RelayConfig,
    /// Its data.
    pub data: Data,
    /// What its programs run under.
    pub environment: Environment,
    /// What its programs never reach, wherever a directory lies that they may read: other episodes, the cache, answers.
    pub hidden: Vec<PathBuf>,
    /// How strictly the sandbox is required.
    pub sandbox: SandboxMode,
    /// CPUs of its programs.
    pub cpus: u64,
    /// Memory of its programs in bytes.
    pub memory: Option<u64>,
    /// User id of its programs, where the runner is root.
    pub user: Option<u32>,
    /// Who acts.
    pub agent: Agent,
    /// The socket between relay and executor.
    pub socket: PathBuf,
}

/// How it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The agent ended; its exit code, 128 + N after signal N.
    Agent(i32),
    /// The executor kept dying after it had been up: what ran in it has spoilt the sandbox.
    SandboxSpoilt(String),
    /// It has no result.
    Failed(Unready),
    /// The run is stopped.
    Stopped,
}

/// What is seen of an episode while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// Relay and executor are up, the agent starts.
    Running,
    /// The result file has changed.
    Result(Box<EpisodeResult>),
}

/// Runs an episode to its end. What is seen on the way goes to `see`.
pub async fn run(job: &Job, stop: &Stop, mut see: impl FnMut(Sight)) -> End {
    let started = match Processes::start(job).await {
        Ok(processes) => processes,
        Err(unready) => return End::Failed(unready),
    };
    let mut processes = started;
    let end = processes.watch(job, stop, &mut see).await;
    processes.stop(stop).await;
    if let Some(result) = read_result(&job.dir) {
        see(Sight::Result(Box::new(result)));
    }
    end
}

struct Processes {
    relay: Keeper,
    exec: Keeper,
    agent: Option<Role>,
    agent_log: fs::File,
}

impl Processes {
    async fn start(job: &Job) -> Result<Self, Unready> {
        let dir = &job.dir;
        let mut logs = Vec::new();
        for role in ["relay", "exec", "agent"] {
            let path = dir.log(role);
            let log = open_log(&path, PATIENCE)
                .await
                .map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => Unready::machine(
                        "EarlierRunAlive",
                        format!(
                            "a process of an earlier run still writes to {}: end it first",
                            path.display()
                        ),
                    ),
                    _ => Unready::machine(
                        "MachineError",
                        format!("cannot write {}: {error}", path.display()),
                    ),
                })?;
            logs.push((path, log));
        }
        let [(relay_path, relay), (exec_path, exec), (_, agent_log)] = <[_; 3]>::try_from(logs)
            .map_err(|_| Unready::machine("MachineError", "three logs are needed"))?;
        // Both are signs of life of the processes that are started now.
        for sign in [dir.result(), dir.connection()] {
            remove_file(&sign).doing(|| format!("remove {}", sign.display()))?;
        }
        let config = dir.relay_config();
        serde_json::to_vec_pretty(&job.relay)
            .map_err(io::Error::other)
            .and_then(|bytes| privately(|| fs::write(&config, bytes)))
            .doing(|| format!("write {}", config.display()))?;
        Ok(Self {
            relay: Keeper::new("the relay", relay_of(job), relay, relay_path, RELAY_LAST_WORDS).secretive(),
            exec: Keeper::new("the executor", exec_of(job), exec, exec_path, EXEC_LAST_WORDS),
            agent: None,
            agent_log,
        })
    }

    async fn watch(&mut self, job: &Job, stop: &Stop, see: &mut impl FnMut(Sight)) -> End {
        let mut ticks = interval(TICK);
        let began = Instant::now();
        let mut last: Option<EpisodeResult> = None;
        let mut overtime: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.wait() => return End::Stopped,
                kept = self.relay.next() => if let Err(gave_up) = kept {
                    return relay_lost(job, gave_up);
                },
                kept = self.exec.next() => if let Err(gave_up) = kept {
                    return exec_lost(job, self.agent.is_some(), gave_up);
                },
                code = ended(&mut self.agent) => return End::Agent(code),
                _ = ticks.tick() => {
                    let result = read_result(&job.dir).filter(|result| last.as_ref() != Some(result));
                    if let Some(result) = result {
                        if let Some(error) = &result.task_error {
                            return End::Failed(task_broken(job, error));
                        }
                        if let Some(reason) = refused(job, &result) {
                            return End::Failed(reason);
                        }
                        if result.outcome.is_some() {
                            overtime.get_or_insert_with(|| Instant::now() + OVERTIME);
                        }
                        see(Sight::Result(Box::new(result.clone())));
                        last = Some(result);
                    }
                    if self.agent.is_none() && is_ready(&job.dir, last.as_ref()) {
                        see(Sight::Running);
                        match Role::start(&agent_of(job), &self.agent_log) {
                            Ok(agent) => self.agent = Some(agent),
                            Err(error) => return End::Failed(Unready::machine(
                                "AgentNotStarted", format!("the agent cannot be started: {error}"),
                            )),
                        }
                    }
                    if self.agent.is_none() && began.elapsed() > START_TIME {
                        return End::Failed(not_ready(job));
                    }
                    if overtime.is_some_and(|end| Instant::now() > end) {
                        // The budget has ended the episode; the agent is only cleared away.
                        return End::Agent(0);
                    }
                }
            }
        }
    }

    /// Agent, relay, executor. The relay before the executor: it would record a step that is only interrupted as one that
    /// the executor failed.
    async fn stop(&mut self, stop: &Stop) {
        if let Some(agent) = &mut self.agent {
            agent.stop(GRACE, stop).await;
        }
        self.relay.stop(GRACE, stop).await;
        self.exec.stop(GRACE, stop).await;
    }
}

async fn ended(agent: &mut Option<Role>) -> i32 {
    match agent {
        Some(agent) => agent.ended().await,
        None => std::future::pending().await,
    }
}

/// The relay listens and an executor has connected: an agent without one would come to a reward of 0 that is no
/// measurement.
fn is_ready(dir: &EpisodeDir, result: Option<&EpisodeResult>) -> bool {
    result.is_some_and(|result| result.executor) && dir.connection().exists()
}

fn relay_of(job: &Job) -> Invocation {
    let dir = &job.dir;
    let mut args = Args::new("relay");
    args.pair("--config", dir.relay_config());
    args.pair("--private", &job.data.private);
    args.pair("--public", &job.data.public);
    args.pair("--state", dir.root());
    args.pair("--socket", &job.socket);
    args.pair("--listen", "127.0.0.1:0");
    args.pair("--connection", dir.connection());
    args.invoke(job)
}

fn exec_of(job: &Job) -> Invocation {
    let dir = &job.dir;
    let mut args = Args::new("exec");
    args.pair("--socket", &job.socket);
    args.pair("--workspace", dir.workspace());
    args.pair("--public", &job.data.public);
    args.pair("--state", dir.exec_state());
    args.pair("--scratch", dir.scratch());
    args.pair("--python", &job.environment.python);
    for path in &job.environment.read_paths {
        args.pair("--read-path", path);
    }
    for path in &job.hidden {
        args.pair("--hide", path);
    }
    args.pair(
        "--sandbox",
        match job.sandbox {
            SandboxMode::Required => "required",
            SandboxMode::BestEffort => "best-effort",
        },
    );
    if let Some(user) = job.user {
        args.pair("--user", format!("{user}:{user}"));
    }
    if let Some(memory) = job.memory {
        args.pair("--memory", memory.to_string());
    }
    args.pair("--cpus", job.cpus.to_string());
    args.invoke(job)
}

fn agent_of(job: &Job) -> Invocation {
    let mut args = Args::new("agent");
    match &job.agent {
        Agent::Replay(actions) => {
            args.0.push("replay".into());
            args.pair("--connection", job.dir.connection());
            args.pair("--actions", actions);
            args.invoke(job)
        }
        Agent::Command { command, env, cwd } => {
            args.0.push("exec".into());
            args.pair("--connection", job.dir.connection());
            args.pair("--seed", job.relay.seed.to_string());
            args.0.push("--".into());
            args.0.extend(command.iter().map(OsString::from));
            Invocation {
                env: env.clone(),
                cwd: cwd.clone(),
                ..args.invoke(job)
            }
        }
    }
}

struct Args(Vec<OsString>);

impl Args {
    fn new(role: &str) -> Self {
        Self(vec![role.into()])
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }

    fn invoke(self, job: &Job) -> Invocation {
        Invocation {
            program: job.dojo.clone(),
            args: self.0,
            env: Vec::new(),
            cwd: job.dir.root().to_owned(),
        }
    }
}

fn relay_lost(job: &Job, gave_up: GaveUp) -> End {
    let unready = match (
        gave_up.code,
        read_result(&job.dir).and_then(|result| result.task_error),
    ) {
        (_, Some(error)) => return End::Failed(task_broken(job, &error)),
        (Some(RELAY_TASK_BROKEN), None) => Unready::task("TaskBroken", gave_up.message),
        _ => Unready::machine("RelayLost", gave_up.message),
    };
    End::Failed(unready.with_log(job.dir.log("relay")))
}

fn exec_lost(job: &Job, was_up: bool, gave_up: GaveUp) -> End {
    if was_up {
        return End::SandboxSpoilt(gave_up.message);
    }
    End::Failed(Unready::machine("ExecutorNotStarted", gave_up.message).with_log(job.dir.log("exec")))
}

/// A sandbox that runs nothing: the steps would all fail, and the reward of 0 would be no measurement.
fn refused(job: &Job, result: &EpisodeResult) -> Option<Unready> {
    let reason = result.sandbox_error.as_ref()?;
    Some(Unready::machine(SANDBOX_REFUSED, reason).with_log(job.dir.log("exec")))
}

fn task_broken(job: &Job, error: &str) -> Unready {
    Unready::task("TaskBroken", error).with_log(job.dir.log("relay"))
}

fn not_ready(job: &Job) -> Unready {
    Unready::machine(
        "NotReady",
        format!(
            "relay and executor were not ready within {} s",
            START_TIME.as_secs()
        ),
    )
    .with_log(job.dir.log("exec"))
}

fn remove_file(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::local::layout::RunDir;

    #[test]
    fn no_agent_starts_before_an_executor_has_connected_whatever_its_layers() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDir::create(root.path()).unwrap();
        let dir = run.episode(&ObjectMeta {
            name: Some("e".into()),
            ..ObjectMeta::default()
        });
        dir.create(false).unwrap();
        let mut result: EpisodeResult = serde_json::from_value(serde_json::json!({
            "sequence": 0, "steps": 0, "stepLimit": 1, "reward": 0.0, "basis": "Score", "validSubmission": false,
            "wallSeconds": 0.0, "executionSeconds": 0.0, "cpuSeconds": 0.0, "peakMemoryBytes": 0,
            "trajectorySha256": "", "trajectoryBytes": 0,
        }))
        .unwrap();
        fs::write(dir.connection(), "{}").unwrap();
        assert!(!is_ready(&dir, None) && !is_ready(&dir, Some(&result)));
        result.executor = true;
        assert!(result.layers.is_empty() && is_ready(&dir, Some(&result)));
        fs::remove_file(dir.connection()).unwrap();
        assert!(!is_ready(&dir, Some(&result)));
    }
}
