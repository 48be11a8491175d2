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

/// Runs programs inside, in every kind of start, and outside.
fn only_outside(make: impl Fn(&Executor) -> Vec<String>) {
    for start in STARTS {
        let mut executor = Executor::started(start, &[]);
        let mut relay = executor.connect();
        for (run, body) in (1..).zip(make(&executor)) {
            let code = attempt(&body);
            let inside = relay.run(&execute(run, &code)).well();
            assert!(
                inside.stdout().contains("REFUSED") && !inside.stdout().contains("SUCCEEDED"),
                "{start:?}: {body}: {}",
                inside.stdout()
            );
            let outside = outside(&code);
            assert!(
                outside.contains("SUCCEEDED"),
                "{start:?}: outside this must succeed: {body}: {outside}"
            );
        }
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
fn the_answers_cannot_be_read() {
    only_outside(|executor| {
        let private = executor.path("private");
        let workspace = executor.path("workspace");
        let temporary = std::env::temp_dir();
        vec![
            format!("print(open({:?}).read())", private.join("answers.csv")),
            format!("os.listdir({private:?})"),
            format!("open('/proc/self/root{}/answers.csv').read()", private.display()),
            format!("open({:?}).read()", workspace.join("../private/answers.csv")),
            // Outside this user cannot write to the workspace: any other directory shows the same.
            format!(
                "link = 'link-%d' % os.getpid()\nos.chdir('.' if os.path.exists('execution_1.py') else {temporary:?})\n\
                 os.symlink({private:?}, link)\ntry:\n    open(link + '/answers.csv').read()\nfinally:\n    os.unlink(link)"
            ),
        ]
    });
}

#[test]
fn an_internet_socket_cannot_be_made() {
    only_outside(|_| {
        vec![
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM)".into(),
            "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)".into(),
            "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".into(),
        ]
    });
}

/// A system call by its number, which is the same on all processors from 424 on.
fn system_call(number: &str, arguments: &str) -> String {
    format!(
        "libc = ctypes.CDLL(None, use_errno=True)\nbuffer = ctypes.create_string_buffer(256)\n\
         if libc.syscall({number}, {arguments}) < 0:\n    raise OSError(ctypes.get_errno(), 'system call')"
    )
}

/// Runs programs inside only: outside, some systems refuse them too.
fn refused_inside(bodies: &[String]) {
    for start in STARTS {
        let mut executor = Executor::started(start, &[]);
        let mut relay = executor.connect();
        for (run, body) in (1..).zip(bodies) {
            let inside = relay.run(&execute(run, &attempt(body))).well();
            assert!(
                inside.stdout().contains("REFUSED"),
                "{start:?}: {body}: {}",
                inside.stdout()
            );
        }
    }
}

#[test]
fn ways_around_the_filter_are_closed() {
    let clone = "56 if os.uname().machine == 'x86_64' else 220";
    refused_inside(&[
        // io_uring opens sockets past a filter on socket(2).
        system_call("425", "8, buffer"),
        // A new user namespace gives all capabilities inside it; by unshare, by clone, by clone3.
        "libc = ctypes.CDLL(None, use_errno=True)\nif libc.unshare(0x10000000) < 0:\n    raise OSError(ctypes.get_errno(), 'unshare')".into(),
        system_call(clone, "0x10000000 | signal.SIGCHLD, 0, 0, 0, 0"),
        system_call("435", "buffer, 88"),
        // The new way of mounting.
        system_call("428", "-100, b'/', 1"),
    ]);
}

#[test]
fn another_process_cannot_be_looked_into() {
    let victim = Victim::start();
    let pid = victim.0.id();
    only_outside(|_| {
        vec![
            format!("assert b'token-of-the-relay' in open('/proc/{pid}/environ', 'rb').read()"),
            format!("open('/proc/{pid}/mem', 'rb')"),
            format!("open('/proc/{pid}/maps').read()"),
            format!("os.listdir('/proc/{pid}/root')"),
            format!("os.listdir('/proc/{pid}/cwd')"),
            format!("os.readlink('/proc/{pid}/fd/1')"),
        ]
    });
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
    only_outside(|_| vec![code.clone()]);
}

#[test]
fn another_process_cannot_be_limited_or_slowed() {
    let victim = Victim::start();
    let pid = victim.0.id();
    only_outside(|_| {
        vec![
            format!("import resource\nresource.prlimit({pid}, resource.RLIMIT_NOFILE, (64, 64))"),
            format!("os.setpriority(os.PRIO_PROCESS, {pid}, 19)"),
            format!("os.sched_setaffinity({pid}, [min(os.sched_getaffinity(0))])"),
        ]
    });
}

#[test]
fn nothing_outside_the_workspace_can_be_written() {
    let home = super::support::open_tempdir();
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    only_outside(|_| {
        let file = format!("{}/file-%d", home.path().display());
        vec![format!("open({file:?} % os.getpid(), 'w')")]
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
