"""The API's description, `docs/openapi.yaml`."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

DOCUMENTS = Path(__file__).parent.parent / "docs"


@cache
def openapi(documents: Path = DOCUMENTS) -> dict[str, Any]:
    """The description in the folder ``documents``, parsed."""
    # libyaml takes a tenth of the time of the parser in Python.
    description: dict[str, Any] = yaml.load((documents / "openapi.yaml").read_bytes(), yaml.CSafeLoader)
    return description
