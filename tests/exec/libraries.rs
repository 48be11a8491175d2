//! What numeric code needs works inside.

use super::support::{Executor, Start, execute};

#[test]
fn multiprocessing_and_temporary_files_work() {
    let code = r#"
import concurrent.futures, multiprocessing, os, tempfile, threading
from multiprocessing import shared_memory

def square(x):
    return x * x

if __name__ == "__main__":
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(square, range(4)) == [0, 1, 4, 9], method
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        shared["a"] = 1
        assert dict(shared) == {"a": 1}
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert list(pool.map(square, [3])) == [9]
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    block.buf[0] = 7
    block.close()
    block.unlink()
    lock = multiprocessing.Lock()
    with lock, tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as dir:
        file.write(b"x")
        open(os.path.join(dir, "y"), "w").write("y")
    thread = threading.Thread(target=square, args=(2,))
    thread.start()
    thread.join()
    open(os.path.expanduser("~/.config-of-a-library"), "w").write("home can be written")
    assert os.cpu_count() and os.sched_getaffinity(0)
    open("/dev/null", "w").write("x")
    assert len(open("/dev/urandom", "rb").read(8)) == 8
    import pathlib, getpass, platform, subprocess
    assert getpass.getuser() == "dojo"
    assert subprocess.run(["sh", "-c", "echo shell"], capture_output=True, text=True).stdout == "shell\n"
    print("all well")
"#;
    for start in [Start::Usual, Start::Ordinary, Start::Bare, Start::RootBare] {
        let mut executor = Executor::started(start, &[]);
        let outcome = executor.connect().run(&execute(1, code)).well();
        assert_eq!(outcome.stdout(), "all well\n", "{start:?}: {}", outcome.stderr());
        assert_eq!(outcome.stderr(), "", "{start:?}");
    }
}
