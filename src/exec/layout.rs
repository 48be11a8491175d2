//! Which paths executed code may reach. The same list is made visible by [`super::isolate`] and allowed by Landlock.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::options::Options;
use super::python::Interpreter;

/// Directories of a Linux system that programs need and that hold no user's data.
const SYSTEM: &[&str] = &[
    "/bin",
    "/etc",
    "/gnu/store",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/opt",
    "/sbin",
    "/usr",
];
/// What the numeric libraries ask of the machine: CPUs, memory nodes, huge pages, the limits of the container.
const MACHINE: &[&str] = &["/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm"];
/// Devices without a state of their own.
pub(super) const DEVICES: &[&str] = &[
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];
/// Shared memory, which multiprocessing keeps its locks in.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";
/// Deepest chain of links that is followed.
const MAX_LINKS: usize = 64;

/// Which paths executed code may reach. All are real paths without links, and exist.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Layout {
    /// Directories and files that may be read and executed.
    pub read: Vec<PathBuf>,
    /// Device files that may be used.
    pub devices: Vec<PathBuf>,
    /// Links on the way to the paths above: where they are and what they say.
    pub links: BTreeSet<(PathBuf, PathBuf)>,
}

/// Works out what executed code may read and use, its workspace aside.
pub(super) fn of(options: &Options, python: &Interpreter) -> Layout {
    let mut layout = Layout::default();
    let data = data(options);
    let mut read = BTreeSet::new();
    for path in SYSTEM.iter().map(Path::new) {
        if let Some(real) = layout.resolve(path) {
            carve(&real, &data, &mut read);
        }
    }
    let named = python
        .prefixes
        .iter()
        .chain([&options.public])
        .chain(&options.read_paths);
    for path in named.map(PathBuf::as_path).chain(MACHINE.iter().map(Path::new)) {
        read.extend(layout.resolve(path));
    }
    // The way to the interpreter may have links of its own; where they lead is part of an installation.
    layout.resolve(&python.path);
    // Name resolution follows this link, often to a place outside /etc.
    read.extend(layout.resolve(Path::new("/etc/resolv.conf")));
    let devices = DEVICES
        .iter()
        .map(Path::new)
        .chain(options.devices.iter().map(PathBuf::as_path));
    layout.devices = devices.flat_map(|path| layout.resolve(path)).collect();
    layout.read = without_contained(read);
    layout
}

/// What belongs to this episode or lies beside it: it is never in reach by being inside a system directory.
fn data(options: &Options) -> Vec<PathBuf> {
    [
        &options.public,
        &options.workspace,
        &options.state,
        &options.scratch,
        &options.socket,
    ]
    .into_iter()
    .filter_map(|path| {
        fs::canonicalize(path)
            .ok()
            .or_else(|| fs::canonicalize(path.parent()?).ok())
    })
    .collect()
}

/// Adds `dir` to `read`, but nothing that has one of `data` below or beside it: the answers may lie beside the public
/// data.
fn carve(dir: &Path, data: &[PathBuf], read: &mut BTreeSet<PathBuf>) {
    if !data.iter().any(|path| path.starts_with(dir)) {
        read.insert(dir.to_owned());
        return;
    }
    if data.iter().any(|path| path == dir || path.parent() == Some(dir)) {
        return;
    }
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            carve(&path, data, read);
        } else {
            read.insert(path);
        }
    }
}

/// Drops paths that lie inside another one of the list.
fn without_contained(paths: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    // In this order a directory comes before what is inside.
    for path in paths {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

impl Layout {
    /// The real path of `path`, if it exists; the links on the way to it are noted.
    fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        let mut rest: Vec<PathBuf> = components(path);
        rest.reverse();
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(component) = rest.pop() {
            if component == Path::new("..") {
                real.pop();
                continue;
            }
            let next = real.join(&component);
            let Ok(target) = fs::read_link(&next) else {
                real = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            rest.extend(components(&target).into_iter().rev());
            self.links.insert((next, target));
        }
        real.exists().then_some(real)
    }
}

fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_system_directory_around_the_data_is_opened_without_what_lies_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for name in ["cuda", "store/tools", "store/task/public", "store/task/private"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let mut read = BTreeSet::new();
        carve(&dir, &[dir.join("store/task/public")], &mut read);
        assert_eq!(read, BTreeSet::from([dir.join("cuda"), dir.join("store/tools")]));
    }

    #[test]
    fn links_on_the_way_are_noted_and_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir_all(dir.join("python-3.12.4/bin")).unwrap();
        symlink("python-3.12.4", dir.join("python-3.12")).unwrap();
        symlink(dir.join("python-3.12/bin"), dir.join("bin")).unwrap();
        let mut layout = Layout::default();
        assert_eq!(
            layout.resolve(&dir.join("bin")),
            Some(dir.join("python-3.12.4/bin"))
        );
        assert_eq!(layout.links.len(), 2);
        assert_eq!(layout.resolve(&dir.join("nothing")), None);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert_eq!(Layout::default().resolve(&dir.path().join("a")), None);
    }

    #[test]
    fn what_is_inside_another_path_is_dropped() {
        let paths = ["/usr", "/usr/lib", "/usrlocal"].map(PathBuf::from);
        assert_eq!(
            without_contained(BTreeSet::from(paths)),
            [PathBuf::from("/usr"), "/usrlocal".into()]
        );
    }
}
