from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.credentials import new_id
from chalicelib.rotation import next_rotation, period

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@given(st.integers(1, 3650), st.builds(new_id))
def test_the_due_date_is_within_ten_percent_of_the_period(days: int, credentials_id: str) -> None:
    due = next_rotation(changed_at=NOW, credentials_id=credentials_id, days=days)
    assert due is not None
    assert timedelta(days=days) * 0.9 <= due - NOW <= timedelta(days=days) * 1.1
    assert due == next_rotation(changed_at=NOW, credentials_id=credentials_id, days=days)


def test_a_period_of_zero_is_never() -> None:
    assert next_rotation(changed_at=NOW, credentials_id=new_id(), days=0) is None


def test_the_phones_own_period_wins_and_the_fleets_needs_a_fetched_configuration() -> None:
    assert period(own_days=7, fleet_days=90, has_fetched_configuration=False) == 7
    assert period(own_days=0, fleet_days=90, has_fetched_configuration=True) == 0
    assert period(own_days=None, fleet_days=90, has_fetched_configuration=True) == 90
    assert period(own_days=None, fleet_days=90, has_fetched_configuration=False) == 0
