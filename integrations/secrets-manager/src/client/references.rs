//! References to this client's secrets.

use futures_util::future::{BoxFuture, FutureExt};

use super::Client;
use crate::{
    resolver::Resolver,
    types::{GetSecretOptions, SecretValue, SecretsError},
};

impl Client {
    /// Puts this client's secrets in for references, in texts and in whole configurations: mapped, scoped, cached and
    /// audited as any other read.
    pub fn resolver<'c>(
        &'c self,
    ) -> Resolver<
        impl Fn(String, GetSecretOptions) -> BoxFuture<'c, Result<SecretValue, SecretsError>> + Send + Sync,
    > {
        Resolver::new(move |path: String, options| {
            async move { self.get_secret(&path, options).await }.boxed()
        })
    }
}
