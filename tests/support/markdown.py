"""What stands in the documents: blocks of code, inline code and links."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ops.gateway import PROJECT

DOCUMENTS = sorted(file for pattern in ("*.md", "docs/**/*.md") for file in PROJECT.glob(pattern))


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code. An indented one is commands; a fenced one says what it is."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(PROJECT)}:{self.line}"

    @property
    def first_line(self) -> str:
        """By which a list of blocks can name it."""
        return self.text.splitlines()[0]

    @property
    def asks_aws(self) -> bool:
        """Whether it has a command of the AWS CLI."""
        return any(line.lstrip(" $(").startswith("aws ") for line in self.text.splitlines())


def blocks_of(document: Path) -> Iterator[Block]:
    """The blocks of a document, in their order."""
    for token in _tokens(document):
        if token.type in {"fence", "code_block"} and token.map:
            language = "sh" if token.type == "code_block" else token.info.strip()
            yield Block(document, token.map[0] + 1, language, token.content)


def inline_code_of(document: Path) -> Iterator[str]:
    """What stands between backticks within a sentence."""
    for token in _inline(document):
        if token.type == "code_inline":
            yield token.content


def links_of(document: Path) -> Iterator[str]:
    """The addresses that a document links to."""
    for token in _inline(document):
        if token.type == "link_open":
            yield str(token.attrs["href"])


def script(blocks: Iterable[Block]) -> str:
    """The blocks, in sh or Python, as one script. It says where it is, and ends at the first command that fails."""
    lines = ["set -euo pipefail"]
    for block in blocks:
        text = block.text.rstrip()
        lines.append(f"echo {shlex.quote(f'--- {block}')}")
        lines.append(f"python3 - <<'END'\n{text}\nEND" if block.language == "python" else text)
    return "\n".join([*lines, ""])


def _tokens(document: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document.read_text())


def _inline(document: Path) -> Iterator[Token]:
    for token in _tokens(document):
        yield from token.children or ()
