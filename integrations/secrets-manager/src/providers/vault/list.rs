//! The walk over a mount's folders: KV v2 lists one folder at a time, and tells names only. A page is made of the first
//! names after the last page's end, in the order of their bytes, wherever the folders begin and end.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{VaultProvider, segments};
use crate::types::{
    ListOptions, ProviderError, ProviderType, SecretMetadata, SecretNotFoundError, SecretPage, SecretsError,
};

/// How many secrets a page has at most. Each is described by a request of its own.
const PAGE: usize = 50;

/// How many secrets are described at once.
const AT_ONCE: usize = 8;

/// How many folders are read for one page. Each has a secret somewhere below, so only a very deep tree comes near.
const MOST_FOLDERS: usize = 2_000;

impl VaultProvider {
    pub(super) async fn page(&self, prefix: &str, options: &ListOptions) -> Result<SecretPage, SecretsError> {
        let after = options.next_token.as_deref().unwrap_or_default();
        let most = options.max_results.map_or(PAGE, |most| PAGE.min(most as usize)).max(1);
        let (names, next_token) = self.names(prefix, after, most).await?;
        let described = stream::iter(names).map(|name| self.listed(name)).buffered(AT_ONCE);
        let mut secrets: Vec<SecretMetadata> =
            described.try_filter_map(async |found| Ok(found)).try_collect().await?;
        if let Some(tags) = &options.tags {
            secrets.retain(|secret| secret.has_tags(tags));
        }
        Ok(SecretPage { secrets, next_token })
    }

    /// The first names with this prefix that come after `after`, and where to go on if there are more.
    async fn names(
        &self,
        prefix: &str,
        after: &str,
        most: usize,
    ) -> Result<(Vec<String>, Option<String>), SecretsError> {
        let folder = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
        let (mut found, mut read) = (Vec::new(), 0);
        let mut ahead = vec![folder.to_owned()];
        while let Some(next) = ahead.pop() {
            if !next.is_empty() && !next.ends_with('/') {
                if found.len() == most {
                    let end = found.last().cloned();
                    return Ok((found, end));
                }
                found.push(next);
                continue;
            }
            read += 1;
            if MOST_FOLDERS < read {
                let detail = format!("more than {MOST_FOLDERS} folders for one page of {prefix:?}");
                return Err(ProviderError::InternalError { provider: ProviderType::Vault, detail }.into());
            }
            ahead.extend(
                self.folder(&next).await?.into_iter().rev().filter(|one| is_wanted(one, prefix, after)),
            );
        }
        Ok((found, None))
    }

    /// What is in a folder, in the order of its bytes, with the folder's name in front.
    async fn folder(&self, folder: &str) -> Result<Vec<String>, SecretsError> {
        let path = match folder.trim_end_matches('/') {
            "" => Vec::new(),
            folder => segments(folder)?,
        };
        let mut keys = self.keys(path).await?;
        keys.retain(|key| !key.is_empty() && key != "/");
        keys.sort_unstable();
        Ok(keys.into_iter().map(|key| format!("{folder}{key}")).collect())
    }

    /// A secret of a list; none if its current version cannot be read any more.
    async fn listed(&self, name: String) -> Result<Option<SecretMetadata>, SecretsError> {
        match self.described(&name).await {
            Ok(found) => Ok(found.is_current(self.clock.now()).then(|| self.metadata(&name, found))),
            Err(SecretsError::NotFound(SecretNotFoundError::SecretDoesNotExist { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether something of a folder has the prefix, or may have it below, and is not before the page.
fn is_wanted(one: &str, prefix: &str, after: &str) -> bool {
    let is_folder = one.ends_with('/');
    let has_prefix = one.starts_with(prefix) || (is_folder && prefix.starts_with(one));
    has_prefix && (after < one || (is_folder && after.starts_with(one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_entered_only_if_something_of_it_is_still_to_come() {
        assert!(is_wanted("a/", "", "a/b"));
        assert!(!is_wanted("a/", "", "b"));
        assert!(!is_wanted("a/b", "", "a/b"));
        assert!(is_wanted("a/c", "a/", "a/b"));
        assert!(is_wanted("app-1/", "app", ""));
        assert!(!is_wanted("app-1/", "apple", ""));
        assert!(!is_wanted("app", "app/", ""));
    }
}
