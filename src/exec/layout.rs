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
    let mut kept_out = KeptOut {
        data: data(options),
        hidden: options
            .hidden
            .iter()
            // What is written to is no part of what is read, and the state is nobody's but the executor's.
            .chain([&options.state, &options.workspace, &options.scratch])
            .map(|path| real(path))
            .collect(),
    };
    let mut read = BTreeSet::new();
    let installed = SYSTEM
        .iter()
        .map(Path::new)
        .chain(python.prefixes.iter().map(PathBuf::as_path));
    for path in installed {
        if let Some(real) = layout.resolve(path) {
            kept_out.carve(&real, &mut read, &mut layout.links);
        }
    }
    // What is named may have the public data in it, and has what lies beside them then.
    kept_out.data.clear();
    let named = [&options.public].into_iter().chain(&options.read_paths);
    for path in named.map(PathBuf::as_path).chain(MACHINE.iter().map(Path::new)) {
        if let Some(real) = layout.resolve(path) {
            kept_out.carve(&real, &mut read, &mut layout.links);
        }
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

/// The real path of what may not exist yet, or not for this user.
fn real(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|dir| {
            let rest = path.strip_prefix(dir).ok()?;
            Some(fs::canonicalize(dir).ok()?.join(rest).components().collect())
        })
        .unwrap_or_else(|| path.to_owned())
}

/// What is not in reach by being inside a directory that is.
struct KeptOut {
    /// Together with what lies beside it: the answers may lie beside the public data.
    data: Vec<PathBuf>,
    /// With all that is inside.
    hidden: Vec<PathBuf>,
}

impl KeptOut {
    /// Adds `path` to `read` without what is kept out of it. Links are noted and not followed: they may lead to what is
    /// kept out.
    fn carve(&self, path: &Path, read: &mut BTreeSet<PathBuf>, links: &mut BTreeSet<(PathBuf, PathBuf)>) {
        if self.hidden.iter().any(|hidden| hidden == path) {
            return;
        }
        if !self
            .data
            .iter()
            .chain(&self.hidden)
            .any(|inner| inner.starts_with(path))
        {
            read.insert(path.to_owned());
            return;
        }
        if self
            .data
            .iter()
            .any(|data| data == path || data.parent() == Some(path))
        {
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            match fs::read_link(entry.path()) {
                Ok(target) => {
                    links.insert((entry.path(), target));
                }
                Err(_) => self.carve(&entry.path(), read, links),
            }
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

    /// What is in reach of `dir`, and the links in it.
    fn carved(dir: &Path, data: &[&str], hidden: &[&str]) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let below = |names: &[&str]| names.iter().map(|name| dir.join(name)).collect();
        let kept_out = KeptOut {
            data: below(data),
            hidden: below(hidden),
        };
        let (mut read, mut links) = Default::default();
        kept_out.carve(dir, &mut read, &mut links);
        (
            read.into_iter().collect(),
            links.into_iter().map(|(link, _)| link).collect(),
        )
    }

    #[test]
    fn a_system_directory_around_the_data_is_opened_without_what_lies_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for name in ["cuda", "store/tools", "store/task/public", "store/task/private"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let (read, _) = carved(&dir, &["store/task/public"], &[]);
        assert_eq!(read, [dir.join("cuda"), dir.join("store/tools")]);
    }

    #[test]
    fn a_hidden_directory_is_left_out_and_a_link_to_it_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for name in ["python", "local/lib", "local/runs/1"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        fs::write(dir.join("local/file"), "").unwrap();
        symlink("runs/1", dir.join("local/last")).unwrap();
        let (read, links) = carved(&dir, &[], &["local/runs", "nothing/there"]);
        let expected = ["local/file", "local/lib", "python"].map(|name| dir.join(name));
        assert_eq!(read, expected);
        assert_eq!(links, [dir.join("local/last")]);
        assert!(carved(&dir, &[], &[""]).0.is_empty());
    }

    #[test]
    fn what_does_not_exist_is_known_by_the_real_path_of_what_does() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        symlink(&dir, dir.join("link")).unwrap();
        assert_eq!(real(&dir.join("link/a/b")), dir.join("a/b"));
        assert_eq!(real(&dir.join("link")), dir);
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
