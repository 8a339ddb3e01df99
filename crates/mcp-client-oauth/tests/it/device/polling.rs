//! How often the client polls the token endpoint, and until when (RFC 8628 §3.2, §3.5).

use async_trait::async_trait;

use super::*;

fn repeated(response: fn() -> ScriptedResponse) -> impl Iterator<Item = ScriptedResponse> {
    std::iter::repeat_with(response).take(10_000)
}

#[tokio::test]
async fn polls_follow_the_interval_until_the_user_has_decided() {
    let fixture = Fixture::with_polls(&code(), [pending(), pending(), tokens()]);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 5, 5]);
    assert_eq!(fixture.polls(), 3);
}

#[tokio::test]
async fn each_slow_down_adds_five_seconds_permanently() {
    let polls = [
        pending(),
        slow_down(),
        pending(),
        slow_down(),
        pending(),
        tokens(),
    ];
    let fixture = Fixture::with_polls(&code(), polls);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 5, 10, 10, 15, 15]);
}

#[tokio::test]
async fn status_429_is_treated_as_slow_down() {
    let hurried = || response(429, &json!({"error": "slow_down"}));
    let mut without_interval = hurried().unwrap();
    without_interval
        .headers
        .insert(header::RETRY_AFTER, HeaderValue::from_static("40"));
    let fixture = Fixture::with_polls(
        &code(),
        [hurried(), Ok(without_interval), pending(), tokens()],
    );
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 10, 40, 15]);
}

#[tokio::test]
async fn repeated_slow_down_stops_at_a_minute_and_polling_ends_when_the_code_expires() {
    let fixture = Fixture::with_polls(&code(), repeated(slow_down));
    let cause = fixture.login_error().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!(fixture.waits().iter().max(), Some(&60));
    assert_eq!(fixture.elapsed(), 900);
    assert!(fixture.polls() < 25, "{}", fixture.polls());
}

#[tokio::test]
async fn polling_while_pending_ends_when_the_code_expires() {
    let fixture = Fixture::with_polls(&code(), repeated(pending));
    let error = fixture.login().await.unwrap_err();
    let expired = Error::Authorization(AuthorizationError::CodeExpired);
    assert_eq!(error.to_string(), expired.to_string());
    assert_eq!(error.remedy(), Remedy::LogIn);
    // Not at the moment of expiry.
    assert_eq!((fixture.polls(), fixture.elapsed()), (900 / 5 - 1, 900));
    assert_eq!(fixture.record().await, None);
}

#[tokio::test]
async fn the_poll_interval_is_between_one_second_and_one_minute() {
    for (interval, wait) in [
        (json!(0), 1),
        (json!(-1), 1),
        (json!(1e9), 60),
        (json!("5"), 5),
        (json!("soon"), 5),
        (json!(null), 5),
        (json!(7), 7),
    ] {
        let fixture =
            Fixture::with_polls(&code_with("interval", interval.clone()), repeated(pending));
        fixture.login_error().await;
        assert_eq!(fixture.waits()[0], wait, "{interval}");
        assert_eq!(fixture.polls() as u64, 899 / wait, "{interval}");
    }
    let fixture = Fixture::with_polls(&code_without("interval"), [tokens()]);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5]);
}

#[tokio::test]
async fn polling_ends_after_half_an_hour() {
    for endless in [
        code_with("expires_in", json!(1e18)),
        code_with("expires_in", json!("for ever")),
        code_without("expires_in"),
    ] {
        let fixture = Fixture::with_polls(&endless, repeated(pending));
        fixture.login_error().await;
        assert_eq!(
            (fixture.polls(), fixture.elapsed()),
            (359, 1800),
            "{endless}"
        );
    }
    for dead in [json!(0), json!(-1)] {
        let fixture = Fixture::with_polls(&code_with("expires_in", dead), repeated(pending));
        let cause = fixture.login_error().await;
        assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
        assert_eq!(fixture.polls(), 0);
    }
}

#[tokio::test]
async fn the_prompt_shows_the_time_limit_of_the_caller() {
    let fixture = Fixture::with_polls(&code(), repeated(pending));
    let minute = Duration::from_secs(60);
    let login = fixture.login_with(|login| preregistered(login).timeout(minute));
    let error = login.await.unwrap_err();
    let Error::Authorization(AuthorizationError::TimedOut(timeout)) = error else {
        panic!("{error}")
    };
    assert_eq!((timeout.as_secs(), fixture.elapsed()), (60, 60));
    assert_eq!(fixture.prompt().expires_at, start_time() + timeout);
}

#[tokio::test]
async fn polling_backs_off_after_server_and_network_errors() {
    let polls = [
        unreachable(),
        unavailable(None),
        Err(HttpErrorKind::TimedOut(Duration::from_secs(30))),
        Err(HttpErrorKind::Interrupted("cut".to_owned())),
        unavailable(None),
        pending(),
        error_response("server_error"),
        pending(),
        tokens(),
    ];
    let fixture = Fixture::with_polls(&code(), polls);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 10, 20, 40, 60, 60, 5, 10, 5]);
}

#[tokio::test]
async fn retry_after_is_respected_up_to_a_minute() {
    let polls = [
        unavailable(Some("30")),
        unavailable(Some("3600")),
        pending(),
        tokens(),
    ];
    let fixture = Fixture::with_polls(&code(), polls);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 30, 60, 5]);
}

#[tokio::test]
async fn polling_a_failing_server_ends_when_the_code_expires() {
    for failure in [unreachable as fn() -> ScriptedResponse, || {
        unavailable(None)
    }] {
        let fixture = Fixture::with_polls(&code(), repeated(failure));
        let cause = fixture.login_error().await;
        assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
        assert_eq!(fixture.elapsed(), 900);
        assert!(fixture.polls() < 20, "{}", fixture.polls());
    }
}

/// A clock that is set back each time it has advanced.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Clock for Stuck {
    fn now(&self) -> SystemTime {
        start_time()
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_prolong_the_wait() {
    let mut fixture = Fixture::with_polls(&code(), repeated(pending));
    fixture.platform.clock = Arc::new(Stuck);
    let cause = fixture.login_error().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!(fixture.polls(), 179);
}

#[tokio::test]
async fn no_poll_is_sent_after_the_code_has_expired() {
    let fixture = Fixture::with_polls(&code_with("expires_in", json!(12)), [pending(), tokens()]);
    fixture.login().await.unwrap();
    let deadlines: Vec<u64> = fixture
        .requests("/token")
        .iter()
        .map(|request| request.deadline.as_secs())
        .collect();
    assert_eq!(deadlines, [7, 2]);
}
