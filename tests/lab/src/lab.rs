//! The lab itself: starting, readiness, and ending in the right order.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

use crate::binaries::Binaries;
use crate::identity::{self, ADMIN, User};
use crate::process::Process;
use crate::programs::Site;
use crate::scheduler::Scheduler;
use crate::wait::{tail, until};
use crate::{http, ports};

/// With two cores that others use too, a start takes some 7 s; this bound is for worse days.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Which job operator runs. The two define `mpijobs.kubeflow.org` differently, so there is one at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Operator {
    /// No operator and no job kinds beyond Kubernetes' own.
    #[default]
    None,
    /// Kubeflow training-operator: TFJob, PyTorchJob, MPIJob v1, XGBoostJob, PaddleJob, `MXJob`.
    Training,
    /// Kubeflow mpi-operator: MPIJob v2beta1.
    Mpi,
}

impl Operator {
    fn program(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Training => Some("training-operator"),
            Self::Mpi => Some("mpi-operator"),
        }
    }
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The job operator.
    pub operator: Operator,
    /// Start kube-scheduler without an extender together with the rest.
    pub plain_scheduler: bool,
    /// Keep the folder with logs and data afterwards. `MUSTER_LAB_KEEP=1` does it for every lab.
    pub keep: bool,
    /// Use this folder, and keep it, instead of a temporary one.
    pub dir: Option<PathBuf>,
    /// Users beside the built-in ones: see [`Lab::kubeconfig_for`].
    pub users: Vec<User>,
    /// Record what Muster's `ServiceAccount`s ask of the API server: see [`Lab::audited`].
    pub audit: bool,
}

/// A running control plane. Dropping it kills every program that it started.
pub struct Lab {
    pub(crate) site: Site,
    pub(crate) scheduler: Mutex<Option<Scheduler>>,
    // In the order in which they may end: the API server's clients, the API server, etcd. An API server whose etcd
    // is gone can hang for minutes.
    clients: Vec<Process>,
    api_server: Process,
    etcd: Process,
    client: Client,
    startup: Duration,
    _temporary: Option<tempfile::TempDir>,
}

impl Lab {
    /// Starts a control plane and returns when pods can be created in `default`.
    pub async fn start(options: Options) -> Result<Self> {
        let mut tries_left = 2;
        loop {
            match Self::start_once(&options).await {
                Err(error) if tries_left > 0 && ports::was_taken(&error) => tries_left -= 1,
                result => return result,
            }
        }
    }

    async fn start_once(options: &Options) -> Result<Self> {
        let begin = Instant::now();
        let (dir, temporary) = folder(options)?;
        let site = Site::prepare(&dir, Binaries::locate()?, &options.users)?;
        let etcd = site.etcd()?;
        let api_server = site.api_server(options.audit)?;
        let client = serving(&site, &etcd, &api_server).await?;
        let clients = vec![site.controller_manager()?, site.kwok()?];
        let mut lab = Self {
            site,
            scheduler: Mutex::new(None),
            clients,
            api_server,
            etcd,
            client,
            startup: Duration::ZERO,
            _temporary: temporary,
        };
        if let Some(program) = options.operator.program() {
            lab.install_crds(&lab.site.binaries.crds(program)).await?;
            let operator = lab.site.operator(program)?;
            lab.clients.push(operator);
        }
        lab.wait_namespace("default").await?;
        if options.plain_scheduler {
            lab.start_plain_scheduler().await?;
        }
        lab.ensure_running()?;
        lab.startup = begin.elapsed();
        Ok(lab)
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client with the rights of one user: see [`Lab::kubeconfig_for`].
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        identity::client(&self.kubeconfig_for(user)?).await
    }

    /// The kubeconfig of a user: [`ADMIN`], [`MUSTER`](crate::MUSTER) or one of [`Options::users`].
    pub fn kubeconfig_for(&self, user: &str) -> Result<PathBuf> {
        ensure!(
            self.site.users.iter().any(|known| known.name == user),
            "the lab has no user {user:?}: name it in Options::users"
        );
        Ok(self.site.kubeconfig(user))
    }

    /// The folder with logs, keys, kubeconfigs and etcd's data.
    pub fn dir(&self) -> &Path {
        &self.site.dir
    }

    /// The address of the API server.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.site.api)
    }

    /// The path of one of the built programs, for example `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.site.binaries.program(name)
    }

    /// A program of the control plane other than kube-scheduler, by its name: `etcd`, `kube-apiserver`, `kwok`, …
    pub fn process(&self, name: &str) -> Option<&Process> {
        self.processes().find(|process| process.name() == name)
    }

    /// All that a program has written, by its name: `etcd`, `kube-apiserver`, `kwok`, `muster`, …
    pub fn log(&self, name: &str) -> Result<String> {
        let file = self.site.dir.join(format!("{name}.log"));
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How long [`Lab::start`] took.
    pub fn startup_time(&self) -> Duration {
        self.startup
    }

    /// An error, with the end of the log, if a program of the control plane has ended by itself.
    pub fn ensure_running(&self) -> Result<()> {
        self.processes().try_for_each(Process::ensure_running)?;
        match &*self.scheduler() {
            Some(scheduler) => scheduler.process.ensure_running(),
            None => Ok(()),
        }
    }

    /// Ends the programs one after the other and in order. Only needed where data must outlive the lab; dropping it
    /// is quicker.
    pub async fn stop(self) -> Result<()> {
        self.stop_scheduler().await?;
        let grace = Duration::from_secs(5);
        futures::future::try_join_all(self.clients.iter().map(|process| process.stop(grace))).await?;
        self.api_server.stop(grace).await?;
        self.etcd.stop(grace).await?;
        Ok(())
    }

    /// Waits until pods can be created in a namespace: its `ServiceAccount` named `default` must exist.
    pub async fn wait_namespace(&self, namespace: &str) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let what = format!("ServiceAccount default in namespace {namespace}");
        self.wait(&what, START_TIMEOUT, async || {
            self.ensure_running()?;
            Ok(accounts.get_opt("default").await?)
        })
        .await?;
        Ok(())
    }

    pub(crate) fn scheduler(&self) -> MutexGuard<'_, Option<Scheduler>> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        [&self.etcd, &self.api_server].into_iter().chain(&self.clients)
    }
}

/// The folder to work in, and its guard when it goes away with the lab.
fn folder(options: &Options) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    let Some(dir) = &options.dir else {
        let temporary =
            tempfile::Builder::new().prefix("muster-lab-").tempdir().context("temporary folder")?;
        if options.keep || std::env::var_os("MUSTER_LAB_KEEP").is_some() {
            return Ok((temporary.keep(), None));
        }
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let is_empty = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?.next().is_none();
    let is_lab = dir.join("pki/tokens.csv").is_file();
    ensure!(is_empty || is_lab, "{} holds something other than an earlier lab", dir.display());
    // Ports and keys are new each time, so the data of an earlier lab cannot be taken over.
    for old in ["etcd", "pki"].map(|name| dir.join(name)).iter().filter(|old| old.exists()) {
        fs::remove_dir_all(old).with_context(|| format!("remove {}", old.display()))?;
    }
    Ok((dir.clone(), None))
}

/// Waits until the API server is ready and returns the administrator's client.
async fn serving(site: &Site, etcd: &Process, api_server: &Process) -> Result<Client> {
    // The API server makes its certificate itself. A client made while the file is only half written trusts nobody,
    // so each try makes its own.
    let ready = until(START_TIMEOUT, Duration::from_millis(20), async || {
        etcd.ensure_running()?;
        api_server.ensure_running()?;
        let client = identity::client(&site.kubeconfig(ADMIN)).await?;
        http::get(&client, "/readyz").await?;
        Ok(Some(client))
    });
    ready.await.with_context(|| format!("the API server is not ready\n{}", tail(api_server.log(), 15)))
}
