//! The command line of each program of the control plane.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::audit;
use crate::binaries::Binaries;
use crate::identity::{ADMIN, CONTROLLER_MANAGER, SCHEDULER, User, write_kubeconfig};
use crate::identity::{write_service_account_key, write_tokens};
use crate::ports;
use crate::process::{Launch, Process};

const STAGES: &str = include_str!("stages.yaml");

/// One lab's folder, ports and users: all that its programs share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    pub(crate) binaries: Binaries,
    pub(crate) users: Vec<User>,
    etcd: u16,
    etcd_peer: u16,
    pub(crate) api: u16,
}

impl Site {
    /// Writes keys, tokens, kubeconfigs and kwok's rules into `dir`.
    pub(crate) fn prepare(dir: &Path, binaries: Binaries, extra_users: &[User]) -> Result<Self> {
        let dir = fs::canonicalize(dir).with_context(|| format!("folder {}", dir.display()))?;
        let pki = dir.join("pki");
        fs::create_dir_all(&pki).with_context(|| format!("create {}", pki.display()))?;
        let mut users = User::built_in()?;
        users.extend_from_slice(extra_users);
        write_service_account_key(&pki)?;
        write_tokens(&users, &pki.join("tokens.csv"))?;
        let [etcd, etcd_peer, api] = ports::free()?;
        for user in &users {
            write_kubeconfig(user, &dir, api)?;
        }
        fs::write(dir.join("stages.yaml"), STAGES).context("write kwok's rules")?;
        Ok(Self { dir, binaries, users, etcd, etcd_peer, api })
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{}.kubeconfig", user.replace([':', '/'], "_")))
    }

    pub(crate) fn launch(&self, program: &str) -> Launch {
        Launch::new(program, self.binaries.program(program), &self.dir)
    }

    fn path(&self, inside: &str) -> String {
        self.dir.join(inside).display().to_string()
    }

    pub(crate) fn etcd(&self) -> Result<Process> {
        let client = format!("http://127.0.0.1:{}", self.etcd);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer);
        self.launch("etcd")
            .args(["--name=lab".to_owned(), format!("--data-dir={}", self.path("etcd"))])
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=lab={peer}"))
            // The data is thrown away with the lab: nothing is gained by waiting for the disk.
            .args(["--unsafe-no-fsync", "--log-level=warn"])
            .spawn()
    }

    pub(crate) fn api_server(&self, audit: bool) -> Result<Process> {
        let launch = self.launch("kube-apiserver");
        let launch = if audit { launch.args(audit::arguments(&self.dir)?) } else { launch };
        launch
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd))
            .args(["--bind-address=127.0.0.1".to_owned(), format!("--secure-port={}", self.api)])
            .arg(format!("--cert-dir={}", self.path("pki")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", self.path("pki/sa.pub")))
            .arg(format!("--service-account-signing-key-file={}", self.path("pki/sa.key")))
            .arg(format!("--token-auth-file={}", self.path("pki/tokens.csv")))
            .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
            // No loopback address may be published as the endpoint of the service `kubernetes`.
            .args(["--service-cluster-ip-range=10.0.0.0/16", "--endpoint-reconciler-type=none"])
            // After thousands of pods it would otherwise grow by a GiB.
            .env("GOMEMLIMIT", "1GiB")
            .spawn()
    }

    pub(crate) fn controller_manager(&self) -> Result<Process> {
        self.launch("kube-controller-manager")
            .arg(format!("--kubeconfig={}", self.kubeconfig(CONTROLLER_MANAGER).display()))
            .args(["--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=true"])
            .arg(format!("--service-account-private-key-file={}", self.path("pki/sa.key")))
            .arg(format!("--root-ca-file={}", self.path("pki/apiserver.crt")))
            .args(["--kube-api-qps=300", "--kube-api-burst=600"])
            // kwok renews no Lease; with the usual 50 s every node would flap.
            .arg("--node-monitor-grace-period=24h")
            .spawn()
    }

    pub(crate) fn kwok(&self) -> Result<Process> {
        self.launch("kwok")
            .arg(format!("--kubeconfig={}", self.kubeconfig(ADMIN).display()))
            .args(["--manage-all-nodes=true".to_owned(), format!("--config={}", self.path("stages.yaml"))])
            .spawn()
    }

    pub(crate) fn operator(&self, program: &str) -> Result<Process> {
        let kubeconfig = self.kubeconfig(ADMIN);
        self.launch(program).arg(format!("--kubeconfig={}", kubeconfig.display())).spawn()
    }

    pub(crate) fn scheduler(&self, config: &Path, port: u16) -> Result<Process> {
        self.launch("kube-scheduler")
            .arg(format!("--config={}", config.display()))
            .args(["--bind-address=127.0.0.1".to_owned(), format!("--secure-port={port}")])
            .arg(format!("--cert-dir={}", self.path("scheduler-pki")))
            .arg(format!("--authentication-kubeconfig={}", self.kubeconfig(SCHEDULER).display()))
            .arg("--authorization-always-allow-paths=/metrics,/healthz,/livez,/readyz")
            .spawn()
    }
}
