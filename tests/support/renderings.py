"""What a program shows of exceptions, objects, bytes and other programs, as text."""

import os
import subprocess
import traceback
from typing import Any


def rendered(error: BaseException) -> str:
    """An exception as Python shows it, with its causes, contexts, notes and groups, and its `repr`."""
    return "".join([*traceback.format_exception(error), repr(error)])


def shown(instance: Any) -> str:
    """An object's `repr` and `str`."""
    try:
        return f"{instance!r}\n{instance!s}"
    except AttributeError:  # a map of PynamoDB's that describes an attribute and is no value has neither
        return ""


def as_text(output: Any) -> str:
    """What a program wrote or a request has, which may be text, bytes or nothing."""
    if isinstance(output, bytes | bytearray):
        return output.decode("latin-1")
    return output if isinstance(output, str) else ""


def command_of(program: "subprocess.Popen[Any]") -> str:
    """A program's arguments in one line."""
    arguments: Any = program.args
    return " ".join(
        os.fsdecode(argument) for argument in (arguments if isinstance(arguments, list | tuple) else [arguments])
    )
