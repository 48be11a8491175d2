//! An executor made of a thread: it speaks the channel and runs programs of a small language, one command a line.
//!
//! ```text
//!   print TEXT      a line on standard output        submit X   a submission that is off by X
//!   wait            until released or cancelled      exit CODE  ends with this code
//!   flood N         N bytes of output                large N    N bytes of a submission
//!   drop            closes the connection            garbage    bytes that are no frame
//! ```

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use mledojo::wire::channel::{
    CHANNEL_VERSION, Captured, FromExec, RunExit, RunFinished, RunRequest, RunUsage, SubmissionFound, ToExec,
};
use mledojo::wire::frame::{Decoder, Frame};
use sha2::{Digest, Sha256};

use super::until;

pub struct Executor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    released: AtomicBool,
    runs: AtomicU32,
    secret: Mutex<Option<String>>,
}

impl Executor {
    /// Connects, and again whenever the connection ends.
    pub fn start(socket: PathBuf) -> Self {
        Self::resume(socket, None)
    }

    /// As [`Executor::start`], with the secret of an executor before it.
    pub fn resume(socket: PathBuf, secret: Option<String>) -> Self {
        let shared = Arc::new(Shared {
            secret: Mutex::new(secret),
            ..Shared::default()
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while !shared.stop.load(Ordering::SeqCst) {
                    // An end of any kind leads to the next connection, as with the real one.
                    if session(&socket, &shared).is_none() {
                        std::thread::park_timeout(Duration::from_millis(5));
                    }
                }
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Lets programs that wait go on.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
    }

    /// Programs begun so far.
    pub fn runs(&self) -> u32 {
        self.shared.runs.load(Ordering::SeqCst)
    }

    /// The resume secret, once there was a Welcome.
    pub fn secret(&self) -> String {
        until("the executor is welcomed", || {
            self.shared.secret.lock().unwrap().clone()
        })
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.released.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Greets and gives the relay's answer with the connection.
pub fn greet(socket: &Path, resume: Option<String>) -> Option<(Link, ToExec)> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
    let mut link = Link {
        stream,
        decoder: Decoder::default(),
    };
    link.send(&FromExec::Hello {
        version: CHANNEL_VERSION,
        resume,
        layers: vec!["landlock-abi-7".into()],
    })?;
    let answer = until("the relay answers the Hello", || match link.receive() {
        Some(None) => None,
        ended_or_answered => Some(ended_or_answered.flatten()),
    })?;
    Some((link, answer))
}

/// One connection.
pub struct Link {
    pub stream: UnixStream,
    decoder: Decoder,
}

impl Link {
    pub fn send(&mut self, message: &FromExec) -> Option<()> {
        self.frame(&Frame::Control(serde_json::to_vec(message).unwrap()))
    }

    fn frame(&mut self, frame: &Frame) -> Option<()> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).ok()
    }

    /// A message if one has come: `Some(None)` when none has, `None` when the connection has ended.
    pub fn receive(&mut self) -> Option<Option<ToExec>> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(Frame::Control(bytes)) = self.decoder.next_frame().unwrap() {
                return Some(Some(serde_json::from_slice(&bytes).unwrap()));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Some(None),
                Err(_) => return None,
            }
        }
    }
}

/// One connection to its end.
fn session(socket: &Path, shared: &Shared) -> Option<()> {
    let resume = shared.secret.lock().unwrap().clone();
    let (mut link, answer) = greet(socket, resume)?;
    let ToExec::Welcome { secret } = answer else {
        return None;
    };
    *shared.secret.lock().unwrap() = Some(secret);
    while !shared.stop.load(Ordering::SeqCst) {
        match link.receive()? {
            Some(ToExec::Run(request)) => run(&mut link, shared, &request)?,
            Some(ToExec::Reset { run }) => link.send(&FromExec::ResetDone { run, error: None })?,
            _ => {}
        }
    }
    Some(())
}

fn run(link: &mut Link, shared: &Shared, request: &RunRequest) -> Option<()> {
    let run = request.run;
    shared.runs.fetch_add(1, Ordering::SeqCst);
    link.send(&FromExec::Started { run })?;
    let mut exit = RunExit::Exited { code: 0 };
    let mut submission = None;
    let mut stdout = String::new();
    for line in request.code.lines() {
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "print" => {
                stdout += &format!("{argument}\n");
                link.frame(&Frame::Stdout(run, format!("{argument}\n").into_bytes()))?;
            }
            "flood" => link.frame(&Frame::Stderr(run, vec![b'f'; argument.parse().unwrap()]))?,
            "submit" => {
                submission =
                    Some((1..=4).fold("id,y\n".to_owned(), |csv, id| csv + &format!("{id},{argument}\n")));
            }
            "large" => submission = Some("x".repeat(argument.parse().unwrap())),
            "exit" => {
                exit = RunExit::Exited {
                    code: argument.parse().unwrap(),
                }
            }
            "wait" => {
                while !shared.released.load(Ordering::SeqCst) {
                    if let Some(ToExec::Cancel { run: cancelled }) = link.receive()? {
                        assert_eq!(cancelled, run);
                        exit = RunExit::Cancelled;
                        break;
                    }
                }
            }
            "drop" => return None,
            "garbage" => link.stream.write_all(&[99; 100]).ok()?,
            other => panic!("no command: {other}"),
        }
    }
    let found = match &submission {
        Some(text) if exit == (RunExit::Exited { code: 0 }) => {
            for piece in text.as_bytes().chunks(50_000) {
                link.frame(&Frame::Submission(run, piece.to_vec()))?;
            }
            SubmissionFound::Sent {
                bytes: text.len() as u64,
                sha256: Sha256::digest(text)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            }
        }
        _ => SubmissionFound::Missing,
    };
    link.send(&FromExec::Finished(Box::new(RunFinished {
        run,
        exit,
        submission: found,
        stdout: Captured {
            total_bytes: stdout.len() as u64,
            text: stdout,
            truncated: false,
        },
        stderr: Captured::default(),
        usage: RunUsage {
            wall_seconds: 0.25,
            cpu_seconds: 0.125,
            peak_memory_bytes: 1 << 20,
        },
    })))
}
