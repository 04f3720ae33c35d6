"""What is tried again, and what never is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailab_async import errors
from ailab_async.retry import RetryPolicy, TokenBucket, repeatable, retry_after

POLICY = RetryPolicy()


def decide(failure, *, action="submit", attempt=1, dice=0.5, policy=POLICY, bucket=None):
    bucket = bucket or TokenBucket()
    return policy.wait(failure, action=action, attempt=attempt, bucket=bucket, dice=dice)


SAFE_FOR_A_SUBMISSION = [
    errors.NotDelivered("refused"),
    errors.Throttled(code="EXCEEDING_LIMITS", http_status=429),
    errors.Throttled(http_status=429),
    errors.ServiceUnavailable(code="SERVICE_INTERNAL_ERROR", http_status=500),
    errors.ServiceUnavailable(http_status=503),
]
NEVER_FOR_A_SUBMISSION = [
    errors.OutcomeUnknown("no answer"),
    errors.ServiceUnavailable(http_status=500),
    errors.ServiceUnavailable(http_status=502),
    errors.ServiceUnavailable(http_status=504),
    errors.ServiceUnavailable(code="WORDS_OF_NO_TABLE", http_status=502),
    errors.ServiceUnavailable(code="AI_SERVICE_TIMEOUT", http_status=504),
    errors.MalformedReply(http_status=200),
    errors.MalformedReply(http_status=502),
]
NEVER = [
    errors.AuthenticationError(http_status=401),
    errors.CreditsExhausted(code="ERROR_NOT_ENOUGH_CREDITS", http_status=429),
    errors.QuotaExceeded(http_status=429),
    errors.InputRejected(http_status=422),
    errors.EndpointRetired(http_status=404),
    errors.TaskNotFound(http_status=404),
    errors.PlatformError(http_status=501),
    errors.StateConflict(http_status=409),
]


@pytest.mark.parametrize("failure", SAFE_FOR_A_SUBMISSION, ids=repr)
def test_a_submission_is_repeated_where_provably_nothing_was_made(failure):
    assert decide(failure) is not None


@pytest.mark.parametrize("failure", NEVER_FOR_A_SUBMISSION + NEVER, ids=repr)
def test_a_submission_is_never_repeated_where_something_may_have_been_made(failure):
    assert decide(failure) is None


@pytest.mark.parametrize("failure", SAFE_FOR_A_SUBMISSION + NEVER_FOR_A_SUBMISSION, ids=repr)
@pytest.mark.parametrize("action", ["look", "call", "download"])
def test_reading_is_repeated_after_every_passing_trouble(failure, action):
    assert decide(failure, action=action) is not None


@pytest.mark.parametrize("failure", NEVER, ids=repr)
@pytest.mark.parametrize("action", ["submit", "look", "call", "download"])
def test_what_will_not_pass_is_never_repeated(failure, action):
    assert not repeatable(failure, action=action)


def test_the_last_attempt_is_the_last():
    failure = errors.NotDelivered("refused")
    assert decide(failure, attempt=2) is not None
    assert decide(failure, attempt=3) is None


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_full_jitter_below_the_cap(attempt, dice):
    policy = RetryPolicy(attempts=20_000)
    wait = decide(errors.NotDelivered("x"), attempt=attempt, dice=dice, policy=policy)
    assert wait is not None
    assert 0 <= wait <= 20
    assert wait == pytest.approx(dice * min(20, 0.5 * 2.0 ** min(attempt - 1, 30)))


def test_the_servers_own_wait_is_kept_and_a_too_long_one_is_raised():
    patient = errors.Throttled(http_status=429, retry_after=7.0)
    assert decide(patient, dice=0.0) == 7.0
    endless = errors.Throttled(http_status=429, retry_after=3600.0)
    assert decide(endless) is None


def test_a_dead_server_costs_little_more_than_the_calls():
    bucket = TokenBucket()
    attempts = 0
    for _ in range(10_000):
        attempt = 1
        attempts += 1
        while decide(errors.NotDelivered("x"), attempt=attempt, bucket=bucket) is not None:
            attempt += 1
            attempts += 1
    assert attempts <= 10_100


def test_clean_exchanges_refill_the_allowance_up_to_its_size():
    bucket = TokenBucket(size=10, cost=5)
    assert bucket.take()
    assert bucket.take()
    assert not bucket.take()
    for _ in range(100):
        bucket.give_back()
    assert bucket.tokens == 10


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, math.inf),
        ({"retry-after": "\N{ARABIC-INDIC DIGIT SEVEN}"}, None),
        (
            {
                "retry-after": "Fri, 20 Nov 2026 10:00:30 GMT",
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Fri, 20 Nov 2026 09:00:00 GMT",
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers, seconds):
    assert retry_after(headers) == seconds
