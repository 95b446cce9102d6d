//! The storage that the guide's manifests take for granted.

use anyhow::Result;
use std::fmt::Write as _;

use crate::Lab;

/// Namespace and name of every claim that a manifest of the guide mounts, and whether a manifest creates it.
const CLAIMS: [(&str, &str, bool); 4] = [
    ("default", "training-data", true),
    ("default", "model-storage", false),
    ("ml-workloads", "model-storage", false),
    ("ml-workloads", "processed-data", false),
];

impl Lab {
    /// Makes the guide's manifests in `tests/workloads` schedulable: the namespace `ml-workloads`, a volume for
    /// each claim that they mount, and the claims that none of them creates. Without these the pods wait for their
    /// volumes before any scheduler has a say. The claim `training-data` has a manifest and is left to it.
    pub async fn volumes_of_the_guide(&self) -> Result<()> {
        let mut manifests = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ml-workloads}\n".to_owned();
        for (namespace, name, has_manifest) in CLAIMS {
            let _ = write!(
                manifests,
                r"---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}-{name}}}
spec:
  capacity: {{storage: 100Gi}}
  accessModes: [ReadWriteMany]
  storageClassName: standard
  hostPath: {{path: /nowhere}}
  claimRef: {{namespace: {namespace}, name: {name}}}
"
            );
            if !has_manifest {
                let _ = write!(
                    manifests,
                    r"---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: standard
  resources: {{requests: {{storage: 100Gi}}}}
"
                );
            }
        }
        self.apply(&manifests).await?;
        Ok(())
    }
}
