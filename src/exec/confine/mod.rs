//! The layers that a process puts around itself before it becomes the program.

mod files;
mod namespaces;
mod process;
mod syscalls;

use crate::api::NetworkMode;

use super::launch::Confinement;

pub(super) use namespaces::map_self;

/// Landlock ABI that `sandbox: Required` asks for: Linux 6.7 and later, among them Ubuntu 24.04. It is the first that
/// also guards TCP.
pub(super) const MIN_LANDLOCK_ABI: u32 = 4;

/// Why a layer cannot be put on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfineError {
    /// A step of the preparation failed.
    #[error("{what}: {error}")]
    Step {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
    /// Landlock.
    #[error("Landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// seccomp.
    #[error("seccomp: {0}")]
    Seccomp(String),
    /// The kernel did not do what it said.
    #[error("{0}")]
    Unproven(String),
}

impl ConfineError {
    fn step<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Step {
            what,
            error: error.into(),
        }
    }
}

/// The layers that are on, and what could not be put on.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Names, such as `landlock-abi-7`.
    pub layers: Vec<String>,
    /// Landlock ABI in force, 0 for none.
    pub landlock_abi: u32,
    /// What could not be put on, and why.
    pub missing: Vec<ConfineError>,
}

impl Applied {
    fn take(&mut self, name: &str, done: Result<(), ConfineError>) {
        match done {
            Ok(()) => self.layers.push(name.to_owned()),
            Err(error) => self.missing.push(error),
        }
    }

    /// What of the documented minimum is missing.
    pub(super) fn below_minimum(&self) -> Option<String> {
        let has = |name: &str| self.layers.iter().any(|layer| layer == name);
        let mut missing = Vec::new();
        if self.landlock_abi < MIN_LANDLOCK_ABI {
            missing.push(match self.landlock_abi {
                0 => format!("Landlock (ABI {MIN_LANDLOCK_ABI} or later; this system has none)"),
                abi => format!("Landlock ABI {MIN_LANDLOCK_ABI} (this kernel has ABI {abi})"),
            });
        }
        missing.extend(
            ["no-new-privs", "no-capabilities", "seccomp"]
                .into_iter()
                .filter(|name| !has(name))
                .map(str::to_owned),
        );
        let reasons: Vec<String> = self.missing.iter().map(ToString::to_string).collect();
        (!missing.is_empty()).then(|| {
            let because = if reasons.is_empty() {
                String::new()
            } else {
                format!(" ({})", reasons.join("; "))
            };
            format!("{} missing{because}", missing.join(", "))
        })
    }
}

/// Puts all layers on this process, which must have one thread only. What fails is noted; the caller decides. Only
/// separate network and mounts that were asked for are an error at once: without them the program would not be where
/// it should be.
pub(super) fn apply(wanted: &Confinement) -> Result<Applied, ConfineError> {
    process::limits()?;
    if wanted.network == NetworkMode::Loopback || wanted.bind.is_some() {
        namespaces::enter(wanted.network == NetworkMode::Loopback, wanted.bind.as_ref())?;
    }
    let mut applied = Applied::default();
    applied.take("no-new-privs", process::no_new_privs());
    applied.take("no-capabilities", process::drop_capabilities());
    match files::restrict(wanted) {
        Ok(0) => {}
        Ok(abi) => {
            applied.landlock_abi = abi;
            applied.layers.push(format!("landlock-abi-{abi}"));
        }
        Err(error) => applied.missing.push(error),
    }
    applied.take("seccomp", syscalls::restrict(wanted.network));
    Ok(applied)
}

/// Asks the kernel whether the layers that were put on do what they are for.
pub(super) fn prove(
    applied: &Applied,
    forbidden: &std::path::Path,
    network: NetworkMode,
) -> Result<(), ConfineError> {
    process::prove()?;
    if applied.landlock_abi > 0 {
        files::prove(forbidden)?;
    }
    syscalls::prove(network)
}
