from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.credentials import ALPHABET, LENGTH, Credentials, generate, new_id


@given(st.builds(generate))
def test_each_part_is_32_lower_case_letters_and_digits(pair: Credentials) -> None:
    for part in (pair.username, pair.password):
        assert len(part) == LENGTH == 32
        assert set(part) <= set(ALPHABET)
    assert pair.username != pair.password


def test_pairs_never_repeat() -> None:
    parts = [part for _ in range(5_000) for pair in [generate()] for part in (pair.username, pair.password)]
    assert len(set(parts)) == len(parts)


def test_all_36_symbols_are_equally_likely() -> None:
    text = "".join(part for _ in range(1_600) for pair in [generate()] for part in (pair.username, pair.password))
    assert len(text) > 100_000
    expected = len(text) / len(ALPHABET)
    counts = Counter(text)
    chi_square = sum((counts[symbol] - expected) ** 2 / expected for symbol in ALPHABET)
    # 35 degrees of freedom: a fair source exceeds 93 once in ten million runs.
    assert chi_square < 93


def test_ids_are_fresh_and_fit_a_secret_version() -> None:
    ids = {new_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(32 <= len(id_) <= 64 for id_ in ids)


def test_a_repr_shows_neither_part() -> None:
    pair = Credentials("the username", "the password")
    assert "the" not in repr(pair)
    assert "the" not in str([pair])
