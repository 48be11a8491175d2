//! Landlock: which files a process may touch, which TCP ports, and whom it may signal.

use std::fs::File;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

use super::ConfineError;
use crate::api::NetworkMode;
use crate::exec::launch::Confinement;

/// The newest ABI that is asked for; on an older kernel what it does not know is left out.
const NEWEST: ABI = ABI::V9;

/// Restricts this thread and gives the ABI in force: 0 where the kernel has no Landlock.
pub(super) fn restrict(wanted: &Confinement) -> Result<u32, ConfineError> {
    let all = AccessFs::from_all(NEWEST);
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?;
    if wanted.network == NetworkMode::None {
        ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
    }
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let status = ruleset
        .create()?
        .add_rules(rules(&wanted.read, AccessFs::from_read(NEWEST)))?
        // Reading: `/proc/self/mem` and the like are the process's own; others are behind the ptrace check.
        .add_rules(rules(&["/proc".into()], AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(rules(&wanted.devices, device))?
        .add_rules(rules(&wanted.write, write))?
        .restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => kernel_abi
            .and_then(|abi| u32::try_from(abi).ok())
            .unwrap_or(effective_abi as u32),
        _ => 0,
    })
}

/// Rules for the paths that exist.
fn rules(
    paths: &[std::path::PathBuf],
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<landlock::PathBeneath<landlock::PathFd>, RulesetError>> {
    path_beneath_rules(paths.to_vec(), access)
}

/// Tries to open a directory that is not allowed.
pub(super) fn prove(forbidden: &Path) -> Result<(), ConfineError> {
    match File::open(forbidden) {
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied || error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(error) => Err(ConfineError::Unproven(format!(
            "{forbidden:?} should be out of reach, but opening it says: {error}"
        ))),
        Ok(_) => Err(ConfineError::Unproven(format!(
            "{forbidden:?} can be opened in spite of Landlock"
        ))),
    }
}
