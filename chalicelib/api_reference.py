"""The API reference: the OpenAPI document, and a page that shows it and tries it out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from chalicelib.errors import NotFound

FOLDER = Path(__file__).parent / "reference"
"""Where the files are: `ops.api_reference` puts them there."""

PAGE = "index.html"
DOCUMENT = "openapi.json"
ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "start.js")
"""What the page loads."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, with its headers. ``tag`` is an entity tag (RFC 9110, section 8.8.3)."""

    text: str
    content_type: str
    tag: str


def page() -> File:
    """The page."""
    return _read(PAGE)


def document() -> File:
    """The OpenAPI document as JSON."""
    return _read(DOCUMENT)


def asset(name: str) -> File:
    """What the page loads under that name. Raises :class:`~chalicelib.errors.NotFound`."""
    if name not in ASSETS:
        raise NotFound("No such file")
    return _read(name)


def _read(name: str) -> File:
    content = (FOLDER / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:32]
    return File(content.decode(), _CONTENT_TYPES[Path(name).suffix], f'"{digest}"')


_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}
