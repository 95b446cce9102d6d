//! Where the programs of the control plane are.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The folder that `tests/control-plane/build.sh` filled.
#[derive(Debug, Clone)]
pub struct Binaries {
    root: PathBuf,
}

impl Binaries {
    /// `$MUSTER_CONTROL_PLANE_DIR`, or `target/control-plane` in this repository.
    pub fn locate() -> Result<Self> {
        let root = std::env::var_os("MUSTER_CONTROL_PLANE_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/control-plane"),
            PathBuf::from,
        );
        let binaries = Self { root };
        for name in ["kubernetes", "kwok", "training-operator", "mpi-operator"] {
            let program = binaries.program(name);
            ensure!(
                program.is_file(),
                "{} is missing: run tests/control-plane/build.sh, or set MUSTER_CONTROL_PLANE_DIR to a folder \
                 that it filled",
                program.display()
            );
        }
        Ok(binaries)
    }

    /// The path of one program, for example `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// The folder with an operator's `CustomResourceDefinition`s.
    pub fn crds(&self, operator: &str) -> PathBuf {
        self.root.join("crds").join(operator)
    }
}
