//! What the tasks of a run need before an episode can start: environments and data, each made once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use super::data::{self, Data, Source};
use super::machine::cpus;
use super::progress::Progress;
use super::python::Python;
use super::runner::{RunError, machine};
use super::signals::Stop;
use super::unready::{NotDone, Unready};
use super::venv::{self, Environment};
use crate::api::task::VolumeSource;
use crate::api::{KeyRef, Task};
use crate::plan::{Checked, name_of, namespace_of};

/// A task that episodes can work on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ready {
    /// What programs run under.
    pub environment: Environment,
    /// What they work on.
    pub data: Data,
}

type Cell = Arc<OnceCell<Result<Ready, NotDone>>>;

/// Makes tasks ready.
#[derive(Debug)]
pub struct Workshop {
    /// This program's own executable.
    pub dojo: PathBuf,
    /// Root of the cache.
    pub cache: PathBuf,
    /// The interpreter that environments are made from.
    pub python: Python,
    /// `uv`, where it is installed.
    uv: Option<PathBuf>,
    /// Directory for the logs of preparations.
    pub logs: PathBuf,
    /// Whether to stop.
    pub stop: Stop,
    /// Where progress is shown.
    pub progress: Progress,
    /// How many preparations may go on at once.
    places: Semaphore,
    /// By namespace and name of the Task.
    cells: Mutex<BTreeMap<(String, String), Cell>>,
}

impl Workshop {
    /// One with nothing made yet. Makes the directory of the logs.
    pub async fn new(
        dojo: PathBuf,
        cache: PathBuf,
        python: Python,
        logs: PathBuf,
        stop: Stop,
        progress: Progress,
    ) -> Result<Self, RunError> {
        std::fs::create_dir_all(&logs).map_err(machine(format!("create {}", logs.display())))?;
        Ok(Self {
            dojo,
            cache,
            python,
            uv: uv().await,
            logs,
            stop,
            progress,
            places: Semaphore::new(cpus()),
            cells: Mutex::default(),
        })
    }

    /// The task with everything that its episodes need. Whoever asks first has it made.
    pub async fn ready(&self, checked: &Checked, task: &Task) -> Result<Ready, NotDone> {
        let key = (namespace_of(task).to_owned(), name_of(task).to_owned());
        let cell = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_init(|| self.make(checked, task)).await.clone()
    }

    async fn make(&self, checked: &Checked, task: &Task) -> Result<Ready, NotDone> {
        let source = source_of(checked, task)?;
        // Never closed.
        let _place = self.places.acquire().await;
        if self.stop.requested() {
            return Err(NotDone::Stopped);
        }
        let name = name_of(task);
        let line = self.progress.line(name);
        let logs = self.logs.clone();
        let maker = venv::Maker {
            dojo: self.dojo.clone(),
            cache: self.cache.clone(),
            python: self.python.clone(),
            uv: self.uv.clone(),
            logs: logs.clone(),
        };
        let made = async {
            let requirements = &task.spec.environment.requirements;
            let environment = venv::ensure(&maker, requirements, &self.stop, &line).await?;
            let log = logs.join(format!("prepare-{}_{name}.log", namespace_of(task)));
            let maker = data::Maker {
                dojo: &self.dojo,
                cache: &self.cache,
                python: &self.python,
                environment: &environment,
                log: &log,
                shared: super::machine::is_root(),
            };
            let data = data::ensure(maker, task, &source, &self.stop, &line).await?;
            Ok(Ready { environment, data })
        };
        let made = made.await;
        line.clear();
        made
    }
}

/// Where a Task's data come from, or why not on this machine.
fn source_of(checked: &Checked, task: &Task) -> Result<Source, Unready> {
    if task.spec.environment.gpu.is_some() {
        return Err(Unready::machine(
            "GpuNotSupported",
            "the task wants a GPU, which the local runner does not assign yet: run it in a cluster, or take \
             environment.gpu out of the Task",
        ));
    }
    let data = &task.spec.data;
    let namespace = namespace_of(task);
    if let Some(path) = &data.path {
        return Ok(Source::Path(path.into()));
    }
    if let Some(prepare) = &data.prepare {
        let content = content(checked, namespace, &prepare.config_map_key_ref)?;
        if data.public.is_some() {
            return Err(Unready::machine(
                "VolumeNotSupported",
                "prepare into volumes is for a cluster: take public and private out of the Task to prepare its data here",
            ));
        }
        return Ok(Source::Prepare(content.to_vec()));
    }
    match (&data.public, &data.private) {
        (Some(public), Some(private)) => Ok(Source::Files {
            public: volume(checked, namespace, public)?,
            private: volume(checked, namespace, private)?,
        }),
        _ => Err(Unready::task(
            "DataIncomplete",
            "the Task says nothing of its data",
        )),
    }
}

/// Content of a file that validation has seen.
pub fn content<'a>(checked: &'a Checked, namespace: &str, key: &KeyRef) -> Result<&'a [u8], Unready> {
    checked.file(namespace, key).ok_or_else(|| {
        Unready::task(
            "FileMissing",
            format!("ConfigMap {} has no key {}", key.name, key.key),
        )
    })
}

fn volume(
    checked: &Checked,
    namespace: &str,
    volume: &VolumeSource,
) -> Result<BTreeMap<String, Vec<u8>>, Unready> {
    let Some(map) = &volume.config_map else {
        let kind = data::unsupported(volume).unwrap_or("unknown");
        return Err(Unready::machine(
            "VolumeNotSupported",
            format!(
                "a volume of kind {kind} is for a cluster: to run here, give the Task `data.path`, a directory with \
                 public/ and private/"
            ),
        ));
    };
    let maps = checked.config_maps.iter().map(|map| &map.resource);
    let found = maps
        .into_iter()
        .find(|found| namespace_of(*found) == namespace && name_of(*found) == map.name)
        .ok_or_else(|| Unready::task("FileMissing", format!("there is no ConfigMap {}", map.name)))?;
    let texts = found.data.iter().flatten();
    let binaries = found.binary_data.iter().flatten();
    Ok(texts
        .map(|(key, text)| (key.clone(), text.clone().into_bytes()))
        .chain(binaries.map(|(key, bytes)| (key.clone(), bytes.0.clone())))
        .collect())
}

/// `uv`, if it is installed.
async fn uv() -> Option<PathBuf> {
    let found = tokio::process::Command::new("uv")
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .is_ok_and(|output| output.status.success());
    found.then(|| PathBuf::from("uv"))
}
