"""The documents name tests as evidence: each of them exists."""

import re
from pathlib import Path

import pytest

from ops.gateway import PROJECT
from tests.support.markdown import DOCUMENTS, inline_code_of

TESTS = {
    name
    for file in (PROJECT / "tests").glob("*/test_*.py")
    for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_a_test_that_a_document_names_exists(document: Path) -> None:
    named = {code for code in inline_code_of(document) if re.fullmatch(r"test_\w+", code)}
    assert named <= TESTS


def test_the_threat_model_names_tests_as_its_evidence() -> None:
    assert len(TESTS.intersection(inline_code_of(PROJECT / "docs" / "threat-model.md"))) > 50
