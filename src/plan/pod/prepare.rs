//! The container that makes the data of one episode, where the Task has no volumes with them.

use k8s_openapi::api::core::v1::Container;

use super::security::{self, Role};
use super::volumes::{Access, PREPARE_FILE, mount};
use super::{PodOptions, no_gpu, paths, resources, variable};
use crate::api::{FileSource, Task};

/// The part that every way of preparing shares; a literal, so that it can be put together with others.
macro_rules! call {
    () => {
        r#"
import importlib.util, pathlib, sys
file, raw, public, private = map(pathlib.Path, sys.argv[1:5])
spec = importlib.util.spec_from_file_location("prepare", file)
module = importlib.util.module_from_spec(spec)
sys.modules["prepare"] = module
spec.loader.exec_module(module)
function = getattr(module, "prepare", None)
if not callable(function):
    sys.exit("there is no function `prepare(raw, public, private)` in it")
function(raw, public, private)
"#
    };
}

/// Python that calls `prepare(raw, public, private)` of a file: its arguments are the file and the three directories.
pub const PREPARE_CALL: &str = call!();

/// [`PREPARE_CALL`] in a container, which can be started again and finds what an earlier one has left: finished data are
/// kept, half of them are not.
pub const PREPARE_PROGRAM: &str = concat!(
    r#"
import pathlib, shutil, sys
public, private = map(pathlib.Path, sys.argv[3:5])
done = private / ".prepared"
if done.exists():
    sys.exit(0)
for directory in (public, private):
    for entry in directory.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
"#,
    call!(),
    "done.touch()\n"
);

/// Marker that `prepare` has filled the private volume; it is no data.
pub const PREPARED: &str = ".prepared";

/// [`PREPARE_CALL`] on volumes that outlive the container and that somebody else may use: its fifth argument says for what
/// they are prepared. What another preparation or a person has left there is not touched.
pub(super) const PREPARE_ONCE: &str = concat!(
    r#"
import pathlib, shutil, sys
public, private = map(pathlib.Path, sys.argv[3:5])
mark, purpose = private / ".prepared", sys.argv[5]
state = mark.read_text() if mark.exists() else ""
if state == purpose + " done":
    sys.exit(0)
found = [entry for directory in (public, private) for entry in directory.iterdir()
         if entry != mark and entry.name != "lost+found"]
if state != purpose + " begun":
    if state or found:
        sys.exit(f"the volumes hold other data already ({[str(entry) for entry in found[:3]]}): give the Task empty ones, "
                 "or a new subPath, or leave out `prepare` if these are its data")
    mark.write_text(purpose + " begun")
for entry in found:
    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
"#,
    call!(),
    "mark.write_text(purpose + \" done\")\n"
);

/// The `prepare` file, where each episode runs it: a Task with volumes has prepared data.
pub(super) fn source(task: &Task) -> Option<&FileSource> {
    let data = &task.spec.data;
    data.prepare.as_ref().filter(|_| data.public.is_none())
}

pub(super) fn container(task: &Task, options: &PodOptions) -> Option<Container> {
    source(task)?;
    Some(program(task, options, PREPARE_PROGRAM, &[]))
}

/// A container that runs `prepare` by one of the programs above.
pub(super) fn program(task: &Task, options: &PodOptions, text: &str, further: &[&str]) -> Container {
    let environment = &task.spec.environment;
    let file = format!("{}/{PREPARE_FILE}", paths::TASK_CODE);
    let arguments: Vec<&str> = ["-c", text, &file, paths::RAW, paths::PUBLIC, paths::PRIVATE]
        .into_iter()
        .chain(further.iter().copied())
        .collect();
    Container {
        command: Some(vec!["python3".into()]),
        // Libraries keep caches in HOME, and the user has no directory of its own.
        env: Some(vec![
            variable("HOME", paths::PREPARE_HOME),
            variable("TMPDIR", paths::PREPARE_HOME),
            // The order of sets of text, so that the same code comes to the same data, here and on one machine.
            variable("PYTHONHASHSEED", "0"),
            no_gpu(),
        ]),
        working_dir: Some(paths::PREPARE_HOME.into()),
        // Whoever wrote it reads why it failed; it knows no secret and has not met an agent.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        resources: Some(resources::of_spec(&environment.resources)),
        security_context: Some(security::of(Role::Prepare, options.ids, true)),
        volume_mounts: Some(vec![
            mount("task-code", paths::TASK_CODE, Access::Read),
            mount("raw", paths::RAW, Access::Write),
            mount("prepare-home", paths::PREPARE_HOME, Access::Write),
            mount("public", paths::PUBLIC, Access::Write),
            mount("private", paths::PRIVATE, Access::Write),
        ]),
        ..super::container("prepare", &environment.image, &arguments)
    }
}
