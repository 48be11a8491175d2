//! Run directories and caches that lie below directories which executed code may read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::support::{Connection, Executor, Start, execute, python, validate};

const STARTS: [Start; 4] = [Start::Usual, Start::Ordinary, Start::Bare, Start::RootBare];
/// A secret in each file that is to stay out of reach.
const SECRET: &str = "the-answer-is-42";

/// A directory below `parent` with a cache, with runs and with a tool; none where `parent` is not writable.
fn site(parent: &Path) -> Option<TempDir> {
    let open = |dir: &Path| fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    let site = tempfile::Builder::new()
        .prefix("dojo-test-")
        .tempdir_in(parent)
        .ok()?;
    open(site.path());
    for dir in [
        "runs/other",
        "cache/data/x/public",
        "cache/data/x/private",
        "tool",
    ] {
        fs::create_dir_all(site.path().join(dir)).unwrap();
    }
    for file in secrets() {
        fs::write(site.path().join(file), SECRET).unwrap();
    }
    fs::write(site.path().join("cache/data/x/public/train.csv"), "public").unwrap();
    fs::write(site.path().join("tool/data"), "a tool").unwrap();
    symlink("runs/other", site.path().join("last")).unwrap();
    symlink(
        site.path().join("cache/data/x/private"),
        site.path().join("private"),
    )
    .unwrap();
    Some(site)
}

/// What is never in reach, below the site.
fn secrets() -> [&'static str; 3] {
    [
        "runs/other/trajectory.jsonl",
        "cache/data/x/private/answers.csv",
        "cache/data/x/public.csv",
    ]
}

/// An executor of the site, with its directories in a run directory beside the other one.
fn start(site: &Path, start: Start, hide: bool, more: &[&str]) -> Executor {
    let run = tempfile::Builder::new()
        .prefix("own-")
        .tempdir_in(site.join("runs"))
        .unwrap();
    fs::set_permissions(run.path(), Permissions::from_mode(0o755)).unwrap();
    let hidden = ["runs", "cache", "cache/data/x/private"].map(|dir| site.join(dir).display().to_string());
    let mut arguments: Vec<&str> = more.to_vec();
    if hide {
        arguments.extend(hidden.iter().flat_map(|dir| ["--hide", dir.as_str()]));
    }
    Executor::started_in(run, start, &arguments)
}

/// What of the site's secrets a program reads.
fn read_by(relay: &mut Connection, site: &Path, run: u64) -> String {
    let mut files: Vec<String> = secrets().map(str::to_owned).into();
    files.extend(["last/trajectory.jsonl".into(), "private/answers.csv".into()]);
    let code = format!(
        "import os\nfor file in {files:?}:\n    try:\n        print(file, open(os.path.join({site:?}, file)).read())\n    except OSError:\n        pass\n\
         for dir in ('runs', 'runs/other', 'cache', 'cache/data', 'cache/data/x/private'):\n    try:\n        names = os.listdir(os.path.join({site:?}, dir))\n    except OSError:\n        continue\n    if 'other' in names or 'answers.csv' in names or 'trajectory.jsonl' in names:\n        print(dir, 'the-answer', names)\n"
    );
    let executed = relay.run(&execute(run, &code)).well();
    let validated = relay.run(&validate(run + 1, &code)).well();
    format!("{}{}", executed.stdout(), validated.stdout())
}

/// That a program of this site reads no secret, and what it needs.
fn keeps_out(site: &Path, start_as: Start, more: &[&str]) {
    let mut executor = start(site, start_as, true, more);
    let mut relay = executor.connect();
    let read = read_by(&mut relay, site, 1);
    assert_eq!(read, "", "{start_as:?} {}", site.display());
    let public = executor.path("public/train.csv");
    let code = format!(
        "print(open({public:?}).read())\nopen('x', 'w').write('x')\nimport json, ssl, tempfile\ntempfile.mkstemp()"
    );
    relay.run(&execute(3, &code)).well();
}

#[test]
fn hidden_directories_below_a_system_directory_stay_out_of_reach() {
    for parent in ["/opt", "/usr/local"] {
        let Some(site) = site(Path::new(parent)) else {
            println!("not shown: {parent} cannot be written to");
            continue;
        };
        for start in STARTS {
            keeps_out(site.path(), start, &[]);
        }
        // That it is the option which does it.
        let mut executor = start(site.path(), Start::Bare, false, &[]);
        let read = read_by(&mut executor.connect(), site.path(), 1);
        assert!(read.contains(SECRET), "{parent}: {read}");
    }
}

#[test]
fn hidden_directories_below_a_read_path_stay_out_of_reach_and_the_rest_is_in_it() {
    let site = site(&std::env::temp_dir()).unwrap();
    let path = site.path().to_str().unwrap();
    for start_as in STARTS {
        keeps_out(site.path(), start_as, &["--read-path", path]);
        let mut executor = start(site.path(), start_as, true, &["--read-path", path]);
        let code = format!("print(open({:?}).read())", site.path().join("tool/data"));
        let outcome = executor.connect().run(&execute(1, &code)).well();
        assert_eq!(outcome.stdout(), "a tool\n", "{start_as:?}");
        let mut executor = start(site.path(), start_as, false, &["--read-path", path]);
        let read = read_by(&mut executor.connect(), site.path(), 1);
        assert!(read.contains(SECRET), "{start_as:?}: {read}");
    }
}

#[test]
fn hidden_directories_below_a_python_installation_stay_out_of_reach() {
    let system = Path::new("/usr/bin/python3");
    // `share` belongs to an installation, and /usr is the prefix of this one.
    for parent in ["/usr/local", "/usr/share"] {
        let Some(site) = site(Path::new(parent)).filter(|_| system.exists()) else {
            println!("not shown: {parent} cannot be written to, or there is no system Python");
            continue;
        };
        let more = ["--python", "/usr/bin/python3", "--read-path", "/usr"];
        for start_as in STARTS {
            keeps_out(site.path(), start_as, &more[..2]);
            keeps_out(site.path(), start_as, &more);
        }
        let mut executor = start(site.path(), Start::Ordinary, false, &more);
        let read = read_by(&mut executor.connect(), site.path(), 1);
        assert!(read.contains(SECRET), "{parent}: {read}");
    }
}

#[test]
fn a_virtual_environment_in_a_hidden_cache_is_in_reach() {
    let parent = ["/opt".into(), std::env::temp_dir()];
    let site = parent.iter().find_map(|parent| site(parent)).unwrap();
    let environment = site.path().join("cache/venvs/digest");
    let base = fs::canonicalize(python(Start::Bare)).unwrap();
    fs::create_dir_all(environment.join("bin")).unwrap();
    symlink(&base, environment.join("bin/python")).unwrap();
    let home = base.parent().unwrap().display();
    fs::write(environment.join("pyvenv.cfg"), format!("home = {home}\n")).unwrap();
    let python = environment.join("bin/python");
    for start_as in STARTS {
        let more = ["--python", python.to_str().unwrap()];
        keeps_out(site.path(), start_as, &more);
        let mut executor = start(site.path(), start_as, true, &more);
        let outcome = executor
            .connect()
            .run(&execute(1, "import sys\nprint(sys.prefix)"))
            .well();
        assert_eq!(
            outcome.stdout().trim(),
            environment.display().to_string(),
            "{start_as:?}"
        );
    }
}
