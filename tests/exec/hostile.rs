//! The first hostile programs. Each is refused inside; each is also run outside by the same user, where it succeeds, so
//! that it is the sandbox which refuses it.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use mledojo::api::NetworkMode;
use rustix::process::geteuid;

use super::support::{Executor, Start, execute, processes, python, until};

/// Starts that differ in which layer does the refusing.
const STARTS: [Start; 4] = [Start::Usual, Start::Ordinary, Start::Bare, Start::RootBare];

/// A program whose last line says SUCCEEDED, or REFUSED with the error.
fn attempt(body: &str) -> String {
    let indented = body.trim().replace('\n', "\n    ");
    format!(
        "import os, socket, sys, ctypes, signal\ntry:\n    {indented}\n    print('SUCCEEDED')\nexcept OSError as error:\n    print('REFUSED', error)\n"
    )
}

/// Runs a program as the user of executed code, outside of any sandbox.
fn outside(code: &str) -> String {
    let mut command = Command::new(python(Start::Bare));
    command.args(["-c", code]).stdin(Stdio::null());
    if geteuid().is_root() {
        let user = Start::Bare.code_user();
        command.uid(user).gid(user);
    }
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Runs a program inside, in every kind of start, and outside.
fn only_outside(make: impl Fn(&Executor) -> String) {
    for start in STARTS {
        let mut executor = Executor::started(start, &[]);
        let code = attempt(&make(&executor));
        let inside = executor.connect().run(&execute(1, &code)).well();
        assert!(
            inside.stdout().contains("REFUSED") && !inside.stdout().contains("SUCCEEDED"),
            "{start:?}: {}",
            inside.stdout()
        );
        let outside = outside(&code);
        assert!(
            outside.contains("SUCCEEDED"),
            "{start:?}: outside it must succeed: {outside}"
        );
    }
}

/// Another process of the same user, with a secret in its environment.
struct Victim(Child);

impl Victim {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        command
            .arg("1000")
            .env("SECRET", "token-of-the-relay")
            .stdin(Stdio::null());
        if geteuid().is_root() {
            let user = Start::Bare.code_user();
            command.uid(user).gid(user);
        }
        let victim = Self(command.spawn().unwrap());
        // Before execve it would still be this test's program.
        until("the victim runs", || {
            fs::read(format!("/proc/{}/cmdline", victim.0.id()))
                .is_ok_and(|line| line.starts_with(b"sleep"))
                .then_some(())
        });
        victim
    }

    fn alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_answers_cannot_be_read_by_their_path() {
    only_outside(|executor| format!("print(open({:?}).read())", executor.path("private/answers.csv")));
}

#[test]
fn the_answers_cannot_be_found_by_a_way_around() {
    only_outside(|executor| {
        let private = executor.path("private");
        format!(
            "os.chdir({workspace:?}) if not os.path.exists('execution_1.py') else None\nos.symlink({private:?}, 'link-%d' % os.getpid())\nfound = open('link-%d/answers.csv' % os.getpid()).read()",
            workspace = std::env::temp_dir(),
        )
    });
    only_outside(|executor| format!("os.listdir({:?})", executor.path("private")));
    only_outside(|executor| {
        format!(
            "open('/proc/self/root{}/answers.csv').read()",
            executor.path("private").display()
        )
    });
}

#[test]
fn an_internet_socket_cannot_be_made() {
    only_outside(|_| "socket.socket(socket.AF_INET, socket.SOCK_STREAM)".into());
    only_outside(|_| "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)".into());
    only_outside(|_| "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".into());
}

#[test]
fn the_old_way_of_asking_for_a_socket_is_closed_too() {
    // io_uring opens sockets past a filter on socket(2).
    let code = "libc = ctypes.CDLL(None, use_errno=True)\nparams = ctypes.create_string_buffer(256)\nif libc.syscall(425, 8, params) < 0:\n    raise OSError(ctypes.get_errno(), 'io_uring_setup')";
    let mut executor = Executor::start();
    let inside = executor.connect().run(&execute(1, &attempt(code))).well();
    assert!(inside.stdout().contains("REFUSED"), "{}", inside.stdout());
}

#[test]
fn another_process_cannot_be_looked_into() {
    let victim = Victim::start();
    let pid = victim.0.id();
    only_outside(|_| format!("assert b'token-of-the-relay' in open('/proc/{pid}/environ', 'rb').read()"));
    only_outside(|_| format!("open('/proc/{pid}/mem', 'rb')"));
    only_outside(|_| format!("os.listdir('/proc/{pid}/root')"));
    only_outside(|_| format!("os.listdir('/proc/{pid}/fd')"));
    only_outside(|_| format!("os.listdir('/proc/{pid}/cwd')"));
}

#[test]
fn another_process_cannot_be_killed() {
    for start in STARTS {
        let mut victim = Victim::start();
        let mut executor = Executor::started(start, &[]);
        let (mut relay, _, layers) = executor.connect_with("s");
        let guarded = [
            "pid-namespace",
            "landlock-abi-6",
            "landlock-abi-7",
            "landlock-abi-8",
            "landlock-abi-9",
        ];
        if !layers.iter().any(|layer| guarded.contains(&layer.as_str())) {
            println!("not shown for {start:?}: this kernel cannot scope signals: {layers:?}");
            continue;
        }
        let code = attempt(&format!("os.kill({}, signal.SIGKILL)", victim.0.id()));
        let inside = relay.run(&execute(1, &code)).well();
        assert!(
            inside.stdout().contains("REFUSED"),
            "{start:?}: {}",
            inside.stdout()
        );
        assert!(victim.alive(), "{start:?}");
        assert!(outside(&code).contains("SUCCEEDED"));
        until("the victim is dead", || (!victim.alive()).then_some(()));
    }
}

#[test]
fn the_executor_cannot_be_killed_or_traced_by_its_code() {
    for start in STARTS {
        let mut executor = Executor::started(start, &[]);
        let mut relay = executor.connect();
        let code = attempt(
            "os.kill(os.getppid(), signal.SIGTERM)\nos.kill(os.getppid(), signal.SIGKILL)\nimport time\ntime.sleep(0.3)",
        );
        // Process 1 of a namespace does not die of it, elsewhere it is refused.
        relay.run(&execute(1, &code)).well();
        let code = attempt("open('/proc/%d/environ' % os.getppid(), 'rb').read()");
        let inside = relay.run(&execute(2, &code)).well();
        assert!(
            inside.stdout().contains("REFUSED"),
            "{start:?}: {}",
            inside.stdout()
        );
    }
}

#[test]
fn another_process_cannot_be_traced() {
    let victim = Victim::start();
    let code = format!(
        "libc = ctypes.CDLL(None, use_errno=True)\nif libc.ptrace(16, {pid}, 0, 0) < 0:\n    raise OSError(ctypes.get_errno(), 'ptrace')\nos.waitpid({pid}, 0)\nlibc.ptrace(17, {pid}, 0, 0)",
        pid = victim.0.id()
    );
    only_outside(|_| code.clone());
}

#[test]
fn another_process_cannot_be_limited_or_slowed() {
    let victim = Victim::start();
    let pid = victim.0.id();
    only_outside(|_| format!("import resource\nresource.prlimit({pid}, resource.RLIMIT_NOFILE, (64, 64))"));
    only_outside(|_| format!("os.setpriority(os.PRIO_PROCESS, {pid}, 19)"));
    only_outside(|_| format!("os.sched_setaffinity({pid}, [min(os.sched_getaffinity(0))])"));
}

#[test]
fn no_namespace_can_be_made() {
    // The number of unshare and of clone is the processor's; ctypes goes through the C library.
    let code = "libc = ctypes.CDLL(None, use_errno=True)\nif libc.unshare(0x10000000) < 0:\n    raise OSError(ctypes.get_errno(), 'unshare')";
    for start in STARTS {
        let mut executor = Executor::started(start, &[]);
        let inside = executor.connect().run(&execute(1, &attempt(code))).well();
        assert!(
            inside.stdout().contains("REFUSED"),
            "{start:?}: {}",
            inside.stdout()
        );
    }
}

#[test]
fn nothing_outside_the_workspace_can_be_written() {
    let home = super::support::open_tempdir();
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    only_outside(|_| {
        format!(
            "open({:?} % os.getpid(), 'w')",
            format!("{}/file-%d", home.path().display())
        )
    });
}

#[test]
fn an_abstract_socket_of_another_process_cannot_be_reached() {
    let name = format!("dojo-test-{}", std::process::id());
    let address = <SocketAddr as SocketAddrExt>::from_abstract_name(name.as_bytes()).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let mut executor = Executor::start();
    let (mut relay, _, layers) = executor.connect_with("s");
    let code = attempt(&format!("socket.socket(socket.AF_UNIX).connect('\\0{name}')"));
    assert!(outside(&code).contains("SUCCEEDED"));
    let inside = relay.run(&execute(1, &code)).well();
    if layers
        .iter()
        .any(|layer| layer == "landlock-abi-4" || layer == "landlock-abi-5")
    {
        return println!("not shown: this kernel cannot scope abstract sockets");
    }
    assert!(inside.stdout().contains("REFUSED"), "{}", inside.stdout());
}

#[test]
fn loopback_reaches_itself_and_nobody_else() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut executor = Executor::start();
    let (mut relay, _, layers) = executor.connect_with("s");
    let own = "server = socket.create_server(('127.0.0.1', 0))\nclient = socket.create_connection(server.getsockname())\nserver.accept()";
    let machine = attempt(&format!(
        "socket.create_connection(('127.0.0.1', {port}), timeout=5)"
    ));
    let mut request = execute(1, &attempt(own));
    request.network = NetworkMode::Loopback;
    if !layers.iter().any(|layer| layer == "program-namespaces") {
        let outcome = relay.run(&request);
        assert!(
            matches!(
                outcome.finished.exit,
                mledojo::wire::channel::RunExit::Sandbox { .. }
            ),
            "{:?}",
            outcome.finished
        );
        return;
    }
    let outcome = relay.run(&request).well();
    assert!(outcome.stdout().contains("SUCCEEDED"), "{}", outcome.stdout());
    request = execute(2, &machine);
    request.network = NetworkMode::Loopback;
    let outcome = relay.run(&request).well();
    assert!(outcome.stdout().contains("REFUSED"), "{}", outcome.stdout());
    request = execute(3, &machine);
    request.network = NetworkMode::Allow;
    let outcome = relay.run(&request).well();
    assert!(outcome.stdout().contains("SUCCEEDED"), "{}", outcome.stdout());
}

#[test]
fn no_secret_is_on_a_command_line() {
    let mut executor = Executor::start();
    let (_relay, _, _) = executor.connect_with("a-very-secret-secret");
    assert_eq!(processes("a-very-secret-secret"), [0; 0]);
}
