//! Child processes that do not outlive the test which started them.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use std::os::unix::process::CommandExt as _;

use crate::http::Endpoint;
use crate::wait::tail;

/// What to start: a program, its arguments and environment, and the file for its output.
#[derive(Debug, Clone)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    log: PathBuf,
}

impl Launch {
    /// A program whose output goes to `dir/NAME.log`.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, dir: &Path) -> Self {
        let name = name.into();
        let log = dir.join(format!("{name}.log"));
        // HOME is the lab's folder, so that no setting of the user leaks into a test.
        let env = vec![("HOME".to_owned(), dir.display().to_string())];
        Self { name, program: program.into(), args: Vec::new(), env, log }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it.
    pub fn spawn(self) -> Result<Process> {
        let child = self.spawn_child()?;
        Ok(Process { launch: self, child: Mutex::new(child) })
    }

    fn spawn_child(&self) -> Result<Child> {
        let open = || OpenOptions::new().create(true).append(true).open(&self.log);
        let log = open().with_context(|| format!("open {}", self.log.display()))?;
        let mut command = dying_with_us(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A process group of its own: Ctrl-C in a terminal reaches only us, and we stop the rest in order.
        command.process_group(0);
        spawn_from_lasting_thread(command)
            .with_context(|| format!("start {} ({})", self.name, self.program.display()))
    }
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Mutex<Child>,
}

impl Process {
    /// The name given to [`Launch::new`].
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// How it ended, or `None` while it runs.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// An error with the end of its log if it has ended.
    pub fn ensure_running(&self) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            bail!("{} ended: {status}\n{}", self.name(), tail(self.log(), 15));
        }
        Ok(())
    }

    /// SIGKILL, as a crash would be, and waits for the end.
    pub fn kill9(&self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("kill {}", self.name()))?;
        child.wait().with_context(|| format!("wait for {}", self.name()))?;
        Ok(())
    }

    /// Starts it anew with the same arguments, killing it first if it still runs. The log goes on.
    pub fn restart(&self) -> Result<()> {
        self.kill9()?;
        *self.child() = self.launch.spawn_child()?;
        Ok(())
    }

    /// SIGTERM, then SIGKILL if it has not ended after `grace`. Returns whether it ended by itself.
    pub async fn stop(&self, grace: Duration) -> Result<bool> {
        if self.exit_status()?.is_some() {
            return Ok(true);
        }
        self.signal("TERM")?;
        self.signal("CONT")?; // a paused process would not hear of the first one
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if self.exit_status()?.is_some() {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill9()?;
        Ok(false)
    }

    /// SIGSTOP: it keeps its connections and answers nobody.
    pub fn pause(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// SIGCONT, after [`Process::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// Waits until `url` (`http` or `https`, any certificate) answers with success.
    pub async fn wait_ready(&self, url: &str, timeout: Duration) -> Result<()> {
        let endpoint = Endpoint::new(url)?;
        let deadline = Instant::now() + timeout;
        loop {
            self.ensure_running()?;
            match endpoint.get().await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let log = tail(self.log(), 15);
                    return Err(error.context(format!(
                        "{} was not ready at {url} after {timeout:?}\n{log}",
                        self.name()
                    )));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn signal(&self, signal: &str) -> Result<()> {
        // The child is locked, so nobody reaps it meanwhile and the id is still its own.
        let child = self.child();
        let status = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status()?;
        ensure!(status.success(), "send SIG{signal} to {}: {status}", self.launch.name);
        Ok(())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Both fail only if it has ended already.
        drop(child.kill());
        drop(child.wait());
    }
}

/// A command that the kernel kills when we die in whatever way, if util-linux' `setpriv` is there to ask for it.
/// (The system call itself would need `unsafe`.)
fn dying_with_us(program: &Path) -> Command {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|file| file.is_file())
    };
    let Some(setpriv) = SETPRIV.get_or_init(find) else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The kernel sends that signal when the *thread* that forked ends, and test threads and tokio's threads end early:
/// so one thread, which lasts as long as we do, forks everything.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    type Request = (Command, mpsc::Sender<std::io::Result<Child>>);
    static THREAD: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let requests = THREAD.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                drop(reply.send(command.spawn()));
            }
        });
        sender
    });
    let (reply, answer) = mpsc::channel();
    requests.send((command, reply)).context("the thread that starts processes is gone")?;
    Ok(answer.recv().context("the thread that starts processes is gone")??)
}
