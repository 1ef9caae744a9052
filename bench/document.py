"""Puts figures into a document, each between the markers ``<!-- figures: name -->`` and ``<!-- end -->``."""

import re
from collections.abc import Mapping


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """``text`` with each of ``blocks`` between its markers. Raises ``ValueError`` where it has other markers."""
    found = re.findall(r"<!-- figures: (\S+) -->", text)
    if sorted(found) != sorted(blocks):
        raise ValueError(f"the document has places for {sorted(found)}, the figures are {sorted(blocks)}")
    return re.sub(
        r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)",
        lambda place: f"{place[1]}\n{blocks[place[2]]}\n\n{place[3]}",
        text,
        flags=re.DOTALL,
    )
