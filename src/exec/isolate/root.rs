//! A root directory with nothing in it but what executed code may reach.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::{RELAY, SCRATCH, STATE, temporary};
use crate::exec::layout::{Layout, SHARED_MEMORY};
use crate::exec::options::Options;

/// Where executed code finds temporary files in a private root. A short path: UNIX sockets of multiprocessing, whose
/// names may have 108 bytes, are made below it.
pub(in crate::exec) const TEMPORARY: &str = "/var/tmp";
/// For programs that write to `/tmp` by name; in memory.
pub(in crate::exec) const MEMORY_TEMPORARY: &str = "/tmp";
/// Size of it.
const MEMORY_TEMPORARY_SIZE: &str = "1g";

/// Makes the root directory and enters it. What executed code may reach has the same path as outside.
pub(super) fn enter(options: &Options, layout: &Layout) -> Result<(), String> {
    let base = options.scratch.join("root");
    let told = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    fs::create_dir_all(&base).map_err(told("cannot make a directory for the private root"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| format!("cannot separate the mounts: {error}"))?;
    memory(&base, "size=16m,mode=755").map_err(told("cannot mount the private root"))?;
    let mut root = Root {
        base,
        seen: BTreeSet::new(),
    };
    root.fill(options, layout)?;
    root.seal()
        .map_err(told("cannot make the private root read-only"))?;
    // With both names the same the old root comes to lie over the new one, from where it is unmounted.
    chdir(&root.base)
        .and_then(|()| pivot_root(".", "."))
        .and_then(|()| unmount(".", UnmountFlags::DETACH))
        .and_then(|()| chdir("/"))
        .map_err(|error| format!("cannot enter the private root: {error}"))
}

fn memory(at: &Path, data: &str) -> io::Result<()> {
    let data = CString::new(data)?;
    Ok(mount(
        "tmpfs",
        at,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        data.as_c_str(),
    )?)
}

struct Root {
    base: PathBuf,
    /// Mounted already.
    seen: BTreeSet<PathBuf>,
}

impl Root {
    fn fill(&mut self, options: &Options, layout: &Layout) -> Result<(), String> {
        let named = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| format!("cannot bring {path:?} into the private root: {error}")
        };
        let shared = options
            .memory
            .map_or_else(|| "mode=1777".into(), |bytes| format!("mode=1777,size={bytes}"));
        self.memory(
            Path::new(MEMORY_TEMPORARY),
            &format!("mode=1777,size={MEMORY_TEMPORARY_SIZE}"),
        )
        .map_err(named(Path::new(MEMORY_TEMPORARY)))?;
        self.memory(Path::new(SHARED_MEMORY), &shared)
            .map_err(named(Path::new(SHARED_MEMORY)))?;
        for path in &layout.read {
            self.bind(path, path, Access::Read).map_err(named(path))?;
        }
        for path in &layout.devices {
            self.bind(path, path, Access::Device).map_err(named(path))?;
        }
        let workspace = fs::canonicalize(&options.workspace).map_err(named(&options.workspace))?;
        for (from, to) in [
            (workspace.as_path(), workspace.as_path()),
            (&options.state, Path::new(STATE)),
            (&options.scratch, Path::new(SCRATCH)),
            (&temporary(options), Path::new(TEMPORARY)),
        ] {
            self.bind(from, to, Access::Write).map_err(named(from))?;
        }
        if let Some(dir) = options.socket.parent() {
            self.bind(dir, Path::new(RELAY), Access::Read)
                .map_err(named(dir))?;
        }
        self.processes().map_err(named(Path::new("/proc")))?;
        for (name, target) in [
            ("fd", "fd"),
            ("stdin", "fd/0"),
            ("stdout", "fd/1"),
            ("stderr", "fd/2"),
        ] {
            let (link, target) = (Path::new("/dev").join(name), Path::new("/proc/self").join(target));
            self.link(&link, &target).map_err(named(&link))?;
        }
        for (link, target) in &layout.links {
            self.link(link, target).map_err(named(link))?;
        }
        Ok(())
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.base.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn memory(&mut self, at: &Path, data: &str) -> io::Result<()> {
        self.directory(at)?;
        self.seen.insert(at.to_owned());
        memory(&self.inside(at), data)
    }

    /// The processes of the new process numbers.
    fn processes(&mut self) -> io::Result<()> {
        self.directory(Path::new("/proc"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        Ok(mount(
            "proc",
            self.inside(Path::new("/proc")),
            "proc",
            flags,
            None,
        )?)
    }

    /// Makes a directory and the ones above it, readable by all, whatever the umask.
    fn directory(&self, path: &Path) -> io::Result<()> {
        let mut at = self.base.clone();
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            at.push(name);
            match fs::create_dir(&at) {
                Ok(()) => fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Inside something that was mounted: it is there, or nowhere.
                Err(_) if at.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn bind(&mut self, from: &Path, to: &Path, access: Access) -> io::Result<()> {
        let inside = self.inside(to);
        if from.is_dir() {
            self.directory(to)?;
        } else {
            self.directory(to.parent().unwrap_or(to))?;
            if fs::symlink_metadata(&inside).is_err() {
                fs::write(&inside, [])?;
            }
        }
        if !self.seen.insert(to.to_owned()) {
            return Ok(());
        }
        match access {
            // The scratch directory has this very root in it.
            Access::Write => mount_bind(from, &inside)?,
            Access::Read | Access::Device => mount_bind_recursive(from, &inside)?,
        }
        for (at, kept) in mounts_below(&inside)? {
            let wanted = match access {
                Access::Read => MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
                Access::Write => MountFlags::NOSUID | MountFlags::NODEV,
                Access::Device => MountFlags::NOSUID | MountFlags::NOEXEC,
            };
            mount_remount(&at, MountFlags::BIND | kept | wanted, c"")?;
        }
        Ok(())
    }

    /// Makes a link, unless what was mounted has it already.
    fn link(&self, link: &Path, target: &Path) -> io::Result<()> {
        let inside = self.inside(link);
        if fs::symlink_metadata(&inside).is_ok() {
            return Ok(());
        }
        self.directory(link.parent().unwrap_or(link))?;
        symlink(target, inside)
    }

    /// Makes the directories between the mounts read-only.
    fn seal(&self) -> io::Result<()> {
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        Ok(mount_remount(&self.base, flags, c"")?)
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
    Device,
}

/// The mounts at and below `dir` with the flags that they have, which a user namespace may not take off.
fn mounts_below(dir: &Path) -> io::Result<Vec<(PathBuf, MountFlags)>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table
        .lines()
        .filter_map(mount_line)
        .filter(|(at, _)| at.starts_with(dir))
        .collect())
}

/// Mount point and flags of a line of `mountinfo`.
fn mount_line(line: &str) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(' ').skip(4);
    let at = PathBuf::from(unescape(fields.next()?));
    let flags = fields
        .next()?
        .split(',')
        .fold(MountFlags::empty(), |flags, option| {
            flags
                | match option {
                    "ro" => MountFlags::RDONLY,
                    "nosuid" => MountFlags::NOSUID,
                    "nodev" => MountFlags::NODEV,
                    "noexec" => MountFlags::NOEXEC,
                    "noatime" => MountFlags::NOATIME,
                    "nodiratime" => MountFlags::NODIRATIME,
                    "relatime" => MountFlags::RELATIME,
                    _ => MountFlags::empty(),
                }
        });
    Some((at, flags))
}

/// Undoes the octal escapes of `mountinfo`: space, tab, newline and backslash.
fn unescape(field: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, character)| {
            text.replace(escape, character)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_line_gives_its_place_and_the_flags_to_keep() {
        let line = r"29 1 8:1 / /data/a\040b rw,nosuid,relatime shared:1 - ext4 /dev/sda rw";
        let (at, flags) = mount_line(line).unwrap();
        assert_eq!(at, Path::new("/data/a b"));
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::RELATIME);
        assert!(mount_line("29 1 8:1").is_none());
    }
}
