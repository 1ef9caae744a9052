import pytest

from chalicelib.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"PHONES_TABLE": "", "ROTATION_DAYS": ""}) == Settings()


def test_every_setting_can_be_changed() -> None:
    settings = Settings.from_env({
        "AWS_REGION": "eu-north-1", "PHONES_TABLE": "a", "TOKENS_TABLE": "b", "EVENT_BUS": "c",
        "SECRET_PREFIX": "d/", "SECRET_KMS_KEY": "e", "ROTATION_DAYS": "90",
    })  # fmt: skip
    assert settings == Settings(
        region="eu-north-1", phones_table="a", tokens_table="b", event_bus="c", secret_prefix="d/",
        secret_kms_key="e", rotation_days=90,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["-1", "ninety", "1.5", "٣"])
def test_a_number_that_is_none_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ValueError, match="ROTATION_DAYS: expected a whole number of days"):
        Settings.from_env({"ROTATION_DAYS": text})
