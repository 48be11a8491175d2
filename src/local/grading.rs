//! Task and private data for grading without an episode.

use std::ffi::OsString;
use std::path::PathBuf;

use super::progress::Progress;
use super::runner::{RunError, machine, real_cache, runtime};
use super::signals::Stop;
use super::unready::NotDone;
use super::workshop::Workshop;
use super::{python, read};
use crate::api::Task;
use crate::plan::{Checked, name_of, validate};

/// What is to be graded against.
#[derive(Clone, Debug)]
pub struct Options {
    /// File or directory with the Task.
    pub path: PathBuf,
    /// Name of the Task, where there are several.
    pub name: Option<String>,
    /// Directory with answers and leaderboards. Unset: the Task's own data, prepared into the cache if they are not
    /// there yet.
    pub private: Option<PathBuf>,
    /// Python interpreter to prepare data with, by path or by name on PATH.
    pub python: OsString,
    /// Root of the cache.
    pub cache: PathBuf,
    /// This program's own executable.
    pub dojo: PathBuf,
}

/// The Task, and the directory of its private data.
pub fn locate(options: &Options) -> Result<(Task, PathBuf), RunError> {
    let documents = read::documents(std::slice::from_ref(&options.path)).map_err(RunError::Documents)?;
    let checked = validate(&documents).map_err(RunError::Documents)?;
    let task = pick(&checked, options)?.clone();
    let private = match &options.private {
        Some(private) if private.is_dir() => private.clone(),
        Some(private) => {
            return Err(RunError::Selection(format!(
                "--private {} is not a directory",
                private.display()
            )));
        }
        None => runtime()?.block_on(prepared(options, &checked, &task))?,
    };
    Ok((task, private))
}

fn pick<'a>(checked: &'a Checked, options: &Options) -> Result<&'a Task, RunError> {
    let path = options.path.display();
    let tasks: Vec<&Task> = checked.tasks.iter().map(|task| &task.resource).collect();
    let names: Vec<&str> = tasks.iter().map(|task| name_of(*task)).collect();
    let names = names.join(", ");
    match (&options.name, tasks.as_slice()) {
        (_, []) => Err(RunError::Selection(format!("there is no Task in {path}"))),
        (None, [task]) => Ok(task),
        (None, _) => Err(RunError::Selection(format!(
            "{path} has several Tasks: pick one as {path}#NAME, from {names}"
        ))),
        (Some(name), tasks) => tasks
            .iter()
            .copied()
            .find(|task| name_of(*task) == name)
            .ok_or_else(|| RunError::Selection(format!("{path} has no Task {name}; it has {names}"))),
    }
}

async fn prepared(options: &Options, checked: &Checked, task: &Task) -> Result<PathBuf, RunError> {
    let stop = Stop::listen().map_err(machine("listen to signals"))?;
    let cache = real_cache(&options.cache)?;
    let python = python::inspect(&options.python).await?;
    let logs = cache.join("logs");
    let workshop = Workshop::new(
        options.dojo.clone(),
        cache,
        python,
        logs,
        stop,
        Progress::new([name_of(task)].into_iter()),
    )
    .await?;
    let ready = workshop.ready(checked, task).await;
    workshop.progress.finish();
    match ready {
        Ok(ready) => Ok(ready.data.private),
        Err(NotDone::Stopped) => Err(RunError::Interrupted),
        Err(NotDone::Unready(unready)) => Err(RunError::Unready(unready)),
    }
}
