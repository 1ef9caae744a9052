import pytest

from chalicelib.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"PHONES_TABLE": "", "ROTATION_DAYS": ""}) == Settings()


def test_every_setting_can_be_changed() -> None:
    settings = Settings.from_env({
        "AWS_REGION": "eu-north-1", "PHONES_TABLE": "a", "TOKENS_TABLE": "b", "EVENT_BUS": "c",
        "SECRET_PREFIX": "d/", "SECRET_KMS_KEY": "e", "ROTATION_DAYS": "90",
        "TEND_RATE_PER_SECOND": "7", "TEND_WORKERS": "3",
    })  # fmt: skip
    assert settings == Settings(
        region="eu-north-1", phones_table="a", tokens_table="b", event_bus="c", secret_prefix="d/",
        secret_kms_key="e", rotation_days=90, tend_rate_per_second=7, tend_workers=3,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["-1", "ninety", "1.5", "٣"])
def test_a_number_that_is_none_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ValueError, match="ROTATION_DAYS: expected a whole number, at least 0"):
        Settings.from_env({"ROTATION_DAYS": text})


@pytest.mark.parametrize("name", ["TEND_RATE_PER_SECOND", "TEND_WORKERS"])
def test_a_sweep_has_at_least_one_phone_a_second_and_one_worker(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a whole number, at least 1"):
        Settings.from_env({name: "0"})
