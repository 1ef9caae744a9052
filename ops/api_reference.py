"""Makes the files of the API reference: for the archive, and for the local gateway."""

import importlib.resources
import json
import os
from pathlib import Path

from chalicelib.api_reference import ASSETS, DOCUMENT, PAGE
from ops.openapi import openapi

_SWAGGER_UI = importlib.resources.files("mkdocs_swagger_ui_tag") / "swagger-ui"
_FROM_SWAGGER_UI = {
    "swagger-ui-bundle.js": _SWAGGER_UI / "javascripts" / "swagger-ui-bundle.js",
    "swagger-ui.css": _SWAGGER_UI / "stylesheets" / "swagger-ui.css",
    # Its licence wants to be passed on.
    "LICENSE": _SWAGGER_UI / "LICENSE",
    "NOTICE": _SWAGGER_UI / "NOTICE",
}


def make(documents: Path, folder: Path) -> None:
    """Makes all files anew in ``folder``, from the project's folder ``documents`` and the installed Swagger UI."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / DOCUMENT, json.dumps(openapi(documents), separators=(",", ":")).encode())
    for name, source in _FROM_SWAGGER_UI.items():
        _write(folder / name, source.read_bytes())
    for name in {PAGE, *ASSETS} - _FROM_SWAGGER_UI.keys():
        _write(folder / name, (documents / "reference" / name).read_bytes())


def _write(file: Path, content: bytes) -> None:
    """Writes a file all at once: another process may be reading it."""
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(file)
