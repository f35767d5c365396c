//! A server on this machine that answers providers under test as it is told to. Knows nothing of any store.

use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

/// A server that answers each request with the next of these, and with the last from then on.
pub(super) async fn server(answers: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let answers: Vec<_> = answers.into_iter().collect();
    for (index, answer) in answers.iter().enumerate() {
        let mock = Mock::given(any()).respond_with(answer.clone());
        let is_last = index + 1 == answers.len();
        if is_last { mock } else { mock.up_to_n_times(1) }.mount(&server).await;
    }
    server
}

pub(super) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}
