//! Who may talk to the API server: static tokens, one kubeconfig each.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The cluster administrator's user name.
pub const ADMIN: &str = "admin";
/// The user name that Muster has in a real cluster, so that its RBAC rules are tested too.
pub const MUSTER: &str = "system:serviceaccount:muster-system:muster";
pub(crate) const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
pub(crate) const SCHEDULER: &str = "system:kube-scheduler";

/// Somebody the API server knows by a token.
#[derive(Debug, Clone)]
pub struct User {
    /// The user name.
    pub name: String,
    /// Its groups.
    pub groups: Vec<String>,
    token: String,
}

impl User {
    /// A user with a fresh random token.
    pub fn new(name: &str, groups: &[&str]) -> Result<Self> {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Ok(Self { name: name.to_owned(), groups, token: random_hex()? })
    }

    /// Somebody with a token that the API server issued.
    pub(crate) fn with_token(name: &str, token: String) -> Self {
        Self { name: name.to_owned(), groups: Vec::new(), token }
    }

    /// The bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The users every lab has. The built-in RBAC roles fit the names of the Kubernetes programs.
    pub(crate) fn built_in() -> Result<Vec<Self>> {
        Ok(vec![
            Self::new(ADMIN, &["system:masters"])?,
            Self::new(CONTROLLER_MANAGER, &[])?,
            Self::new(SCHEDULER, &[])?,
            Self::new(
                MUSTER,
                &["system:serviceaccounts", "system:serviceaccounts:muster-system", "system:authenticated"],
            )?,
        ])
    }
}

/// Writes the API server's token file.
pub(crate) fn write_tokens(users: &[User], file: &Path) -> Result<()> {
    let line = |(id, user): (usize, &User)| {
        format!("{},{},{},\"{}\"\n", user.token, user.name, id + 1, user.groups.join(","))
    };
    write_private(file, &users.iter().enumerate().map(line).collect::<String>())
}

/// Writes a kubeconfig for one user and returns its path, which is made from the user's name.
pub(crate) fn write_kubeconfig(user: &User, dir: &Path, port: u16) -> Result<PathBuf> {
    let file = dir.join(format!("{}.kubeconfig", user.name.replace([':', '/'], "_")));
    let authority = dir.join("pki/apiserver.crt");
    let text = format!(
        r#"apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: "{}"}}
users:
- name: "{name}"
  user: {{token: "{}"}}
contexts:
- name: lab
  context: {{cluster: lab, user: "{name}"}}
current-context: lab
"#,
        authority.display(),
        user.token,
        name = user.name,
    );
    write_private(&file, &text)?;
    Ok(file)
}

/// A client for the user of that kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Writes the key pair that signs `ServiceAccount` tokens: `sa.key` and `sa.pub`.
pub(crate) fn write_service_account_key(pki: &Path) -> Result<()> {
    let key = rcgen::KeyPair::generate().context("generate the ServiceAccount key")?;
    write_private(&pki.join("sa.key"), &key.serialize_pem())?;
    write_private(&pki.join("sa.pub"), &key.public_key_pem())
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("write {}", file.display()))
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("random token")?;
    Ok(u128::from_be_bytes(bytes)).map(|number| format!("{number:032x}"))
}
