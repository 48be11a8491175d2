//! Systems that lack something: what is refused, what goes on without it, and what is recorded.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use mledojo::api::NetworkMode;
use mledojo::wire::channel::RunExit;
use nix::libc;

use super::support::{Executor, Start, execute, validate};

/// A kernel without Landlock.
const NO_LANDLOCK: &[(i64, i32)] = &[(libc::SYS_landlock_create_ruleset, libc::ENOSYS)];
/// A container that may not make namespaces.
const NO_NAMESPACES: &[(i64, i32)] = &[(libc::SYS_unshare, libc::EPERM)];
/// A container that may make namespaces and not mount in them.
const NO_MOUNTS: &[(i64, i32)] = &[(libc::SYS_mount, libc::EPERM)];

fn has(layers: &[String], name: &str) -> bool {
    layers.iter().any(|layer| layer.starts_with(name))
}

#[test]
fn without_landlock_nothing_is_run_and_the_way_out_is_said() {
    for start in [Start::Usual, Start::Bare] {
        let mut executor = Executor::started_on(start, &[], NO_LANDLOCK);
        let (mut relay, _, layers) = executor.connect_with("s");
        assert!(!has(&layers, "landlock"), "{layers:?}");
        let outcome = relay.run(&execute(1, "open('ran', 'w')"));
        let RunExit::Sandbox { message } = &outcome.finished.exit else {
            panic!("{:?}", outcome.finished);
        };
        for part in [
            "Landlock (ABI 4 or later; this system has none)",
            "Linux 6.7",
            "BestEffort",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!executor.path("workspace/ran").exists());
    }
}

#[test]
fn without_landlock_best_effort_runs_and_records_what_is_on() {
    let mut executor = Executor::started_on(Start::Usual, &["--sandbox", "best-effort"], NO_LANDLOCK);
    let (mut relay, _, layers) = executor.connect_with("s");
    assert!(!has(&layers, "landlock") && has(&layers, "seccomp"), "{layers:?}");
    relay.run(&execute(1, "print(1)")).well();
}

#[test]
fn without_namespaces_the_minimum_holds_and_validation_reads_the_workspace_only() {
    for (start, lacking) in [
        (Start::Usual, NO_NAMESPACES),
        (Start::Ordinary, NO_NAMESPACES),
        (Start::Ordinary, NO_MOUNTS),
    ] {
        let python = super::support::python(Start::Bare);
        let mut executor = Executor::started_on(start, &["--python", python.to_str().unwrap()], lacking);
        let (mut relay, _, layers) = executor.connect_with("s");
        for absent in ["private-root", "pid-namespace", "program-namespaces"] {
            assert!(!has(&layers, absent), "{layers:?}");
        }
        assert!(has(&layers, "landlock") && has(&layers, "seccomp"), "{layers:?}");
        relay
            .run(&execute(1, "open('kept.txt', 'w').write('kept')"))
            .well();
        let workspace = executor.path("workspace");
        let code = format!(
            "import os\nprint(open({kept:?}).read(), os.getcwd() == os.environ['DOJO_WORKSPACE'] != {workspace:?})\n\
             open('kept.txt', 'w').write('changed')\n\
             try:\n    open({kept:?}, 'a')\n    print('written')\nexcept PermissionError:\n    print('refused')\n",
            kept = workspace.join("kept.txt"),
        );
        let outcome = relay.run(&validate(2, &code)).well();
        assert_eq!(outcome.stdout(), "kept True\nrefused\n", "{start:?}");
        assert_eq!(
            std::fs::read_to_string(workspace.join("kept.txt")).unwrap(),
            "kept"
        );
        let mut request = execute(3, "print(1)");
        request.network = NetworkMode::Loopback;
        let outcome = relay.run(&request);
        assert!(
            matches!(&outcome.finished.exit, RunExit::Sandbox { message } if message.contains("network: Loopback")),
            "{:?}",
            outcome.finished
        );
    }
}

#[test]
fn only_the_devices_that_are_assigned_can_be_used() {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let dir = super::support::open_tempdir();
    let devices = ["nvidia0", "nvidia1"].map(|name| dir.path().join(name));
    for device in &devices {
        // What is behind it is /dev/null.
        if mknodat(CWD, device, FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).is_err() {
            return println!("not run: needs the right to make device files");
        }
        std::fs::set_permissions(device, Permissions::from_mode(0o666)).unwrap();
        if std::fs::OpenOptions::new().write(true).open(device).is_err() {
            return println!("not run: temporary files may not be devices here");
        }
    }
    for start in [Start::Usual, Start::RootBare] {
        let mut executor = Executor::started(start, &["--device", devices[0].to_str().unwrap()]);
        let code = format!(
            "for device in {devices:?}:\n    try:\n        open(device, 'r+b', buffering=0).write(b'x')\n        print('used')\n    except OSError:\n        print('refused')",
        );
        let outcome = executor.connect().run(&execute(1, &code)).well();
        assert_eq!(outcome.stdout(), "used\nrefused\n", "{start:?}");
    }
}
