//! The engine against scripted worlds.

mod course;
mod golden;
mod model;
mod rules;
mod world;

/// Writes a golden anew; here because no other file of a pure room may touch files.
fn write_golden(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Whether goldens are written rather than compared.
fn goldens_are_written() -> bool {
    std::env::var_os("DOJO_WRITE_GOLDENS").is_some()
}
