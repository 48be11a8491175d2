//! Python requirements to a virtual environment in the cache.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::iter;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cache::{Building, Entry, Found};
use super::process::{Invocation, Ran, run};
use super::progress::Line;
use super::python::Python;
use super::signals::Stop;
use super::unready::{Doing, NotDone, Unready};
use crate::wire::hex;

/// Words by which pip and uv say that they could not reach the package index.
const OFFLINE: [&str; 7] = [
    "Temporary failure in name resolution",
    "Name or service not known",
    "NewConnectionError",
    "Network is unreachable",
    "Connection refused",
    "error sending request",
    "timed out",
];

/// What programs of a task run under.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Environment {
    /// Digest of requirements and interpreter.
    pub digest: String,
    /// The interpreter.
    pub python: PathBuf,
    /// Directories that a program needs to read to run under it.
    pub read_paths: Vec<PathBuf>,
}

/// What an environment is made with.
#[derive(Clone, Debug)]
pub struct Maker {
    /// This program's own executable.
    pub dojo: PathBuf,
    /// Root of the cache.
    pub cache: PathBuf,
    /// The interpreter to make environments from.
    pub python: Python,
    /// `uv`, where it is installed.
    pub uv: Option<PathBuf>,
    /// Directory for logs.
    pub logs: PathBuf,
}

#[derive(Debug, Deserialize, Serialize)]
struct Record {
    requirements: Vec<String>,
    python: String,
    base: PathBuf,
}

/// Digest of what decides on an environment's content: the requirements, in any order, and the interpreter.
pub fn digest(requirements: &[String], python: &Python) -> String {
    let mut hash = Sha256::new();
    for part in [
        &python.version,
        &python.implementation,
        &python.platform,
        &python.base_executable.display().to_string(),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for requirement in sorted(requirements) {
        hash.update(requirement.as_bytes());
        hash.update([0]);
    }
    hex(&hash.finalize())
}

fn sorted(requirements: &[String]) -> Vec<String> {
    let mut all: Vec<String> = requirements.iter().map(|one| one.trim().to_owned()).collect();
    all.sort();
    all.dedup();
    all
}

/// The environment of these requirements, built if it is not in the cache. Without requirements it is the interpreter
/// as it is.
pub async fn ensure(
    maker: &Maker,
    requirements: &[String],
    stop: &Stop,
    line: &Line,
) -> Result<Environment, NotDone> {
    let digest = digest(requirements, &maker.python);
    if requirements.is_empty() {
        return Ok(Environment {
            digest,
            python: maker.python.executable.clone(),
            read_paths: maker.python.read_paths(),
        });
    }
    let entry = Entry::new(&maker.cache, "venvs", &digest);
    let python = entry.dir().join("bin/python");
    let found = entry
        .open(
            stop,
            // Its interpreter is a link to the one that it was made from, which may have been removed since.
            |_: &Record| python.is_file(),
            |holder| {
                line.say(&format!("waiting for {holder}, which installs the same packages"));
            },
        )
        .await?;
    if let Found::Absent(building) = found {
        build(maker, building, requirements, &digest, stop, line).await?;
    }
    let mut read_paths = maker.python.read_paths();
    read_paths.push(entry.dir().to_owned());
    Ok(Environment {
        digest,
        python,
        read_paths,
    })
}

async fn build(
    maker: &Maker,
    building: Building,
    requirements: &[String],
    digest: &str,
    stop: &Stop,
    line: &Line,
) -> Result<(), NotDone> {
    let requirements = sorted(requirements);
    line.say(&format!("installing {}", requirements.join(", ")));
    let log_path = maker.logs.join(format!("requirements-{}.log", &digest[..12]));
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .doing(|| format!("write {}", log_path.display()))?;
    for what in steps(maker, building.dir(), &requirements)? {
        let ran = run(&maker.dojo, &what, &mut log, stop, |text| line.detail(text))
            .await
            .doing(|| format!("run {}", what.program.display()))?;
        match ran {
            Ran::Well => {}
            Ran::Stopped => return Err(NotDone::Stopped),
            Ran::Badly { tail, .. } => return Err(failed(&requirements, &tail, &log_path).into()),
        }
    }
    let record = Record {
        requirements,
        python: maker.python.version.clone(),
        base: maker.python.base_executable.clone(),
    };
    building.finish(&record)?;
    line.say("packages are installed");
    Ok(())
}

/// The commands that make an environment in `dir` and fill it.
fn steps(maker: &Maker, dir: &Path, requirements: &[String]) -> Result<[Invocation; 2], Unready> {
    let python = &maker.python.base_executable;
    let inside = dir.join("bin/python");
    let step = |program: &Path, args: &[&str], rest: &[OsString]| Invocation {
        program: program.to_owned(),
        args: args
            .iter()
            .map(OsString::from)
            .chain(rest.iter().cloned())
            .collect(),
        env: Vec::new(),
        cwd: dir.to_owned(),
    };
    // After `--` a requirement cannot be taken for an option.
    let wanted: Vec<OsString> = iter::once("--")
        .chain(requirements.iter().map(String::as_str))
        .map(OsString::from)
        .collect();
    // Executed code cannot write to the environment, so modules are compiled now or at every import.
    if let Some(uv) = &maker.uv {
        let mut fill = vec![OsString::from("--python"), inside.into()];
        fill.extend(wanted);
        return Ok([
            step(
                uv,
                &["venv", "--quiet", "--python"],
                &[python.into(), "--".into(), dir.into()],
            ),
            step(uv, &["pip", "install", "--compile-bytecode"], &fill),
        ]);
    }
    if !maker.python.has_venv {
        return Err(Unready::machine(
            "NoVenvModule",
            format!(
                "{} has no `venv` or no `ensurepip` module, so Python requirements cannot be installed; on Debian and \
                 Ubuntu install it by `apt install python3-venv`, or install `uv`, or name another Python by --python",
                python.display()
            ),
        ));
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
    ];
    Ok([
        step(python, &["-m", "venv", "--"], &[dir.into()]),
        step(&inside, &pip, &wanted),
    ])
}

fn failed(requirements: &[String], tail: &str, log: &Path) -> Unready {
    let message = format!("cannot install {}:\n{tail}", requirements.join(", "));
    let unready = if OFFLINE.iter().any(|sign| tail.contains(sign)) {
        Unready::machine("PackageIndexUnreachable", message)
    } else {
        Unready::task("RequirementsFailed", message)
    };
    unready.with_log(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::conditions::FailureClass;

    fn python() -> Python {
        Python {
            executable: "/usr/bin/python3".into(),
            base_executable: "/usr/bin/python3".into(),
            prefix: "/usr".into(),
            base_prefix: "/usr".into(),
            paths: Vec::new(),
            version: "3.12.1".into(),
            implementation: "CPython".into(),
            platform: "linux-x86_64".into(),
            has_venv: true,
        }
    }

    fn list(requirements: &[&str]) -> Vec<String> {
        requirements.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn the_digest_depends_on_what_decides_and_not_on_order() {
        let base = digest(&list(&["pandas", "numpy==2.*"]), &python());
        assert_eq!(
            base,
            digest(&list(&[" numpy==2.* ", "pandas", "pandas"]), &python())
        );
        assert_ne!(base, digest(&list(&["pandas", "numpy==1.*"]), &python()));
        let changed: [fn(&mut Python); 4] = [
            |python| python.version = "3.12.2".into(),
            |python| python.implementation = "PyPy".into(),
            |python| python.platform = "linux-aarch64".into(),
            |python| python.base_executable = "/opt/python3".into(),
        ];
        for change in changed {
            let mut other = python();
            change(&mut other);
            assert_ne!(base, digest(&list(&["pandas", "numpy==2.*"]), &other));
        }
        assert_ne!(
            digest(&list(&["ab"]), &python()),
            digest(&list(&["a", "b"]), &python())
        );
    }

    #[test]
    fn a_system_without_venv_is_told_what_to_install_unless_it_has_uv() {
        let mut maker = Maker {
            dojo: "dojo".into(),
            cache: "/c".into(),
            python: Python {
                has_venv: false,
                ..python()
            },
            uv: None,
            logs: "/l".into(),
        };
        let unready = steps(&maker, Path::new("/c/v"), &list(&["x"])).unwrap_err();
        assert_eq!(unready.class, FailureClass::Infrastructure);
        assert!(unready.message.contains("apt install python3-venv"));
        maker.uv = Some("/usr/bin/uv".into());
        let [make, fill] = steps(&maker, Path::new("/c/v"), &list(&["x"])).unwrap();
        assert_eq!(make.args.last().unwrap(), "/c/v");
        assert!(
            fill.args
                .ends_with(&["/c/v/bin/python".into(), "--".into(), "x".into()])
        );
    }

    #[test]
    fn no_network_is_not_the_fault_of_the_task() {
        let class = |tail: &str| failed(&list(&["x"]), tail, Path::new("/log")).class;
        assert_eq!(
            class("ERROR: No matching distribution found for nosuchpackage"),
            FailureClass::Task
        );
        assert_eq!(
            class("NewConnectionError: [Errno -3] Temporary failure in name resolution\nERROR: No matching"),
            FailureClass::Infrastructure
        );
    }
}
