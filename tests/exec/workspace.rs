//! Resetting the workspace, and what else is cleared away.

use super::support::{Executor, Start, execute, marker};

#[test]
fn a_reset_empties_the_workspace_whatever_is_in_it() {
    let mut executor = Executor::start();
    let mut relay = executor.connect();
    let code = r#"
import os
os.makedirs("a/b/c")
open("a/b/c/file", "w").write("x")
open(b"\xff\n\x01", "w")
os.symlink("/etc", "etc")
os.symlink("nowhere", "dangling")
os.mkfifo("fifo")
os.makedirs("closed/inner")
os.chmod("closed", 0)
for i in range(1000):
    os.mkdir("deep")
    os.chdir("deep")
os.chdir(os.environ["DOJO_WORKSPACE"])
os.chmod(".", 0)
"#;
    relay.run(&execute(1, code)).well();
    assert_eq!(relay.reset(2), None);
    let outcome = relay.run(&execute(3, "import os\nprint(os.listdir('.'))")).well();
    assert_eq!(outcome.stdout(), "['execution_3.py']\n");
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn temporary_files_and_shared_memory_are_cleared_after_each_run() {
    for start in [Start::Usual, Start::Ordinary, Start::RootBare, Start::Bare] {
        let mut executor = Executor::started(start, &[]);
        let (mut relay, _, layers) = executor.connect_with("s");
        let marker = marker();
        let code = format!(
            "import os, tempfile\ndir = tempfile.mkdtemp()\nopen(os.path.join(dir, 'x'), 'w').write('x')\nopen('/dev/shm/left-{marker}', 'w').write('x')\nprint(tempfile.gettempdir())\nraise SystemExit(1)"
        );
        relay.run(&execute(1, &code));
        let look = format!(
            "import os, tempfile\nprint(os.listdir(tempfile.gettempdir()), [name for name in os.listdir('/dev/shm') if name == 'left-{marker}'])"
        );
        let outcome = relay.run(&execute(2, &look)).well();
        // An ordinary user's shared memory has files of other programs: nothing is removed.
        let own = layers
            .iter()
            .any(|layer| layer == "private-root" || layer == "uid-switch");
        let expected = if own {
            "[] []\n".to_owned()
        } else {
            format!("[] ['left-{marker}']\n")
        };
        let _ = std::fs::remove_file(format!("/dev/shm/left-{marker}"));
        assert_eq!(outcome.stdout(), expected, "{start:?}");
    }
}
