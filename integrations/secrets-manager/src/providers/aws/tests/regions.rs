//! Several regions: which answers, and whose word counts.

use super::*;
use crate::{SecretProvider, types::*};

fn in_two(first: &MockServer, second: &MockServer) -> AwsSecretsManagerProvider {
    provider(AwsSecretsManagerConfig {
        failover: vec![AwsRegion {
            region: "us-east-1".into(),
            endpoint: Some(second.uri().parse().unwrap()),
        }],
        ..config(first)
    })
}

async fn get(provider: &AwsSecretsManagerProvider, path: &str) -> Result<SecretValue, SecretsError> {
    provider.get_secret(path, GetSecretOptions::default()).await
}

fn away() -> ResponseTemplate {
    fault(503, "ServiceUnavailable", "down")
}

fn missing() -> ResponseTemplate {
    fault(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

#[tokio::test]
async fn another_region_answers_while_the_first_is_away_and_is_signed_for() {
    let (first, second) = (server([away()]).await, server([value("s3cret")]).await);
    let provider = in_two(&first, &second);
    get(&provider, "db").await.unwrap();
    get(&provider, "db").await.unwrap();
    assert_eq!(requests(&first).await.len(), 1, "who is away was asked again at once");
    let asked = requests(&second).await;
    assert_eq!(asked.len(), 2);
    assert!(header(&asked[0], "authorization").contains("/us-east-1/secretsmanager/"));
}

#[tokio::test]
async fn a_region_that_cannot_be_reached_is_away() {
    let second = server([value("s3cret")]).await;
    let other = AwsRegion { region: "us-east-1".into(), endpoint: Some(second.uri().parse().unwrap()) };
    let nowhere = Some("http://127.0.0.1:1".parse().unwrap());
    let config = AwsSecretsManagerConfig { failover: vec![other], endpoint: nowhere, ..config(&second) };
    get(&provider(config), "db").await.unwrap();
}

#[tokio::test]
async fn what_a_region_refuses_another_is_not_asked_for() {
    for answer in [
        missing(),
        fault(400, "AccessDeniedException", "no"),
        fault(400, "ThrottlingException", "Rate exceeded"),
        fault(500, "InternalServiceError", "oops"),
        fault(400, "UnrecognizedClientException", "who?"),
    ] {
        let (first, second) = (server([answer]).await, server([value("s3cret")]).await);
        assert!(get(&in_two(&first, &second), "db").await.is_err());
        assert!(requests(&second).await.is_empty());
    }
}

#[tokio::test]
async fn a_replica_that_lacks_a_secret_does_not_say_that_there_is_none() {
    let (first, second) = (server([away()]).await, server([missing()]).await);
    let error = get(&in_two(&first, &second), "db").await.unwrap_err();
    assert_eq!(error.error_type(), "provider_unavailable");
}

#[tokio::test]
async fn a_replica_that_stands_in_and_lacks_a_secret_has_the_first_region_asked() {
    let (first, second) = (server([away(), value("s3cret")]).await, server([value("one"), missing()]).await);
    let provider = in_two(&first, &second);
    get(&provider, "one").await.unwrap();
    get(&provider, "two").await.unwrap();
    assert_eq!(requests(&first).await.len(), 2);
}

#[tokio::test]
async fn all_regions_away_is_the_first_ones_error() {
    let (first, second) =
        (server([away()]).await, server([fault(503, "ServiceUnavailable", "second")]).await);
    let error = get(&in_two(&first, &second), "db").await.unwrap_err();
    assert!(error.to_string().contains("down"), "{error}");
}

#[tokio::test]
async fn an_arn_is_asked_for_in_its_own_region_only() {
    let (first, second) = (server([value("s3cret")]).await, server([away()]).await);
    let provider = in_two(&first, &second);
    let arn = |region: &str| format!("arn:aws:secretsmanager:{region}:123456789012:secret:db-AbCdEf");
    assert!(get(&provider, &arn("us-east-1")).await.is_err());
    assert!(requests(&first).await.is_empty());
    get(&provider, &arn("eu-central-1")).await.unwrap();
}

#[tokio::test]
async fn the_pages_of_a_list_are_of_one_region() {
    let list = |next: Option<&str>| {
        ResponseTemplate::new(200).set_body_json(serde_json::json!({ "SecretList": [], "NextToken": next }))
    };
    let (first, second) = (server([away(), list(None)]).await, server([list(Some("t")), away()]).await);
    let provider = in_two(&first, &second);
    let page = provider.list_page("", ListOptions::default()).await.unwrap();
    assert_eq!(page.next_token.as_deref(), Some("us-east-1:t"));
    let next = ListOptions { next_token: page.next_token, ..ListOptions::default() };
    assert_eq!(provider.list_page("", next).await.unwrap_err().error_type(), "provider_unavailable");
    assert_eq!(requests(&first).await.len(), 1);
}

#[tokio::test]
async fn a_rotation_is_asked_of_the_first_region_only() {
    let (first, second) = (server([away()]).await, server([away()]).await);
    assert!(in_two(&first, &second).rotate_secret("db").await.is_err());
    assert!(requests(&second).await.is_empty());
}
