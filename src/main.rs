//! The `dojo` binary.

fn main() -> std::process::ExitCode {
    mledojo::cli::main()
}
