"""The modules of docs/examples, which are no package."""

import importlib.util
from types import ModuleType

from ops.gateway import PROJECT


def example(name: str) -> ModuleType:
    """A module of docs/examples, imported afresh: with the environment as it is by then."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / "docs" / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
