"""Has somebody look on while functions are called."""

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def after(owner: Any, name: str, look: Callable[..., object]) -> None:
    """Has ``look`` called after the function ``name`` of ``owner``, with its result and its arguments."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def watched(*arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        result = function(*arguments, **options)
        look(result, *arguments, **options)
        return result

    setattr(owner, name, watched)


def after_wherever_imported(function: Callable[..., object], look: Callable[..., object], *packages: str) -> None:
    """The same for a function under all names that it has in the modules of ``packages`` that are loaded."""
    for module in modules(*packages):
        for name in [name for name, value in vars(module).items() if value is function]:
            after(module, name, look)


def modules(*packages: str) -> list[ModuleType]:
    """The modules of ``packages`` that are loaded."""
    return [module for name, module in sys.modules.items() if name.startswith(packages)]
