//! `ServiceAccount`s as pods use them: by tokens that the API server issues.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use crate::Lab;
use crate::identity::{User, write_kubeconfig};

impl Lab {
    /// A kubeconfig with a token of that `ServiceAccount`, good for an hour.
    pub async fn kubeconfig_of_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        // No audience: the API server's own.
        let asked = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let context = || format!("a token of ServiceAccount {namespace}/{name}");
        let issued = accounts
            .create_token_request(name, &PostParams::default(), &asked)
            .await
            .with_context(context)?;
        let token = issued.status.and_then(|status| status.token).with_context(context)?;
        let user = User::with_token(&format!("token:{namespace}:{name}"), token);
        write_kubeconfig(&user, self.dir(), self.site.api)
    }
}
