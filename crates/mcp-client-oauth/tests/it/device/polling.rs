//! How often the token endpoint is asked, and until when (RFC 8628 §3.5; H176, H177).

use async_trait::async_trait;

use super::*;

fn for_ever(response: fn() -> Answer) -> impl Iterator<Item = Answer> {
    std::iter::repeat_with(response).take(10_000)
}

#[tokio::test]
async fn a_poll_comes_after_each_interval_until_the_person_has_decided() {
    let fixture = Fixture::of(&code(), [pending(), pending(), tokens()]);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 5, 5]);
    assert_eq!(fixture.polls(), 3);
}

#[tokio::test]
async fn each_slow_down_adds_five_seconds_for_good() {
    let polls = [
        pending(),
        slow_down(),
        pending(),
        slow_down(),
        pending(),
        tokens(),
    ];
    let fixture = Fixture::of(&code(), polls);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 5, 10, 10, 15, 15]);
}

#[tokio::test]
async fn too_many_requests_is_another_word_for_slow_down() {
    let hurried = || response(429, &json!({"error": "slow_down"}));
    let mut patient = hurried().unwrap();
    patient
        .headers
        .insert(header::RETRY_AFTER, HeaderValue::from_static("40"));
    let fixture = Fixture::of(&code(), [hurried(), Ok(patient), pending(), tokens()]);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 10, 40, 15]);
}

#[tokio::test]
async fn slow_down_for_ever_ends_at_a_minute_and_the_whole_with_the_code() {
    let fixture = Fixture::of(&code(), for_ever(slow_down));
    let cause = fixture.refused().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!(fixture.waits().iter().max(), Some(&60));
    assert_eq!(fixture.elapsed(), 900);
    assert!(fixture.polls() < 25, "{}", fixture.polls());
}

#[tokio::test]
async fn pending_for_ever_ends_with_the_code() {
    let fixture = Fixture::of(&code(), for_ever(pending));
    let error = fixture.login().await.unwrap_err();
    let expired = Error::Authorization(AuthorizationError::CodeExpired);
    assert_eq!(error.to_string(), expired.to_string());
    assert_eq!(error.remedy(), Remedy::LogIn);
    // Not in the moment in which it dies.
    assert_eq!((fixture.polls(), fixture.elapsed()), (900 / 5 - 1, 900));
    assert_eq!(fixture.record().await, None);
}

#[tokio::test]
async fn whatever_the_interval_a_poll_comes_once_a_second_at_most_and_once_a_minute_at_least() {
    for (interval, wait) in [
        (json!(0), 1),
        (json!(-1), 1),
        (json!(1e9), 60),
        (json!("5"), 5),
        (json!("soon"), 5),
        (json!(null), 5),
        (json!(7), 7),
    ] {
        let fixture = Fixture::of(&code_with("interval", interval.clone()), for_ever(pending));
        fixture.refused().await;
        assert_eq!(fixture.waits()[0], wait, "{interval}");
        assert_eq!(fixture.polls() as u64, 899 / wait, "{interval}");
    }
    let fixture = Fixture::of(&code_without("interval"), [tokens()]);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5]);
}

#[tokio::test]
async fn no_code_is_waited_for_longer_than_half_an_hour() {
    for endless in [
        code_with("expires_in", json!(1e18)),
        code_with("expires_in", json!("for ever")),
        code_without("expires_in"),
    ] {
        let fixture = Fixture::of(&endless, for_ever(pending));
        fixture.refused().await;
        assert_eq!(
            (fixture.polls(), fixture.elapsed()),
            (359, 1800),
            "{endless}"
        );
    }
    for dead in [json!(0), json!(-1)] {
        let fixture = Fixture::of(&code_with("expires_in", dead), for_ever(pending));
        let cause = fixture.refused().await;
        assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
        assert_eq!(fixture.polls(), 0);
    }
}

#[tokio::test]
async fn the_person_may_take_as_long_as_the_caller_says_and_is_told_so() {
    let fixture = Fixture::of(&code(), for_ever(pending));
    let mut options = options();
    options.timeout = Duration::from_secs(60);
    let error = fixture.login_with(&options).await.unwrap_err();
    let Error::Authorization(AuthorizationError::TimedOut(timeout)) = error else {
        panic!("{error}")
    };
    assert_eq!((timeout.as_secs(), fixture.elapsed()), (60, 60));
    assert_eq!(fixture.prompt().expires_at, the_time() + timeout);
}

#[tokio::test]
async fn a_server_or_a_network_that_fails_is_asked_again_less_often() {
    let polls = [
        unreachable(),
        unavailable(None),
        Err(HttpErrorKind::TimedOut(Duration::from_secs(30))),
        Err(HttpErrorKind::Interrupted("cut".to_owned())),
        unavailable(None),
        pending(),
        word("server_error"),
        pending(),
        tokens(),
    ];
    let fixture = Fixture::of(&code(), polls);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 10, 20, 40, 60, 60, 5, 10, 5]);
}

#[tokio::test]
async fn a_wait_that_the_server_asks_for_is_kept_up_to_a_minute() {
    let polls = [
        unavailable(Some("30")),
        unavailable(Some("3600")),
        pending(),
        tokens(),
    ];
    let fixture = Fixture::of(&code(), polls);
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 30, 60, 5]);
}

#[tokio::test]
async fn failing_for_ever_ends_with_the_code() {
    for failure in [unreachable as fn() -> Answer, || unavailable(None)] {
        let fixture = Fixture::of(&code(), for_ever(failure));
        let cause = fixture.refused().await;
        assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
        assert_eq!(fixture.elapsed(), 900);
        assert!(fixture.polls() < 20, "{}", fixture.polls());
    }
}

/// A clock that somebody sets back whenever it has moved.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Clock for Stuck {
    fn now(&self) -> SystemTime {
        the_time()
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_prolong_the_wait() {
    let mut fixture = Fixture::of(&code(), for_ever(pending));
    fixture.platform.clock = Arc::new(Stuck);
    let cause = fixture.refused().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!(fixture.polls(), 179);
}

#[tokio::test]
async fn no_poll_outlives_the_code() {
    let fixture = Fixture::of(&code_with("expires_in", json!(12)), [pending(), tokens()]);
    fixture.login().await.unwrap();
    let deadlines: Vec<u64> = fixture
        .requests("/token")
        .iter()
        .map(|request| request.deadline.as_secs())
        .collect();
    assert_eq!(deadlines, [7, 2]);
}
