"""Reads phones from JSON Lines or a JSON array and checks each against the rules of `docs/openapi.yaml`."""

import ipaddress
import json
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from jsonschema.protocols import Validator

from ops.openapi import openapi

MAX_RECORD_BYTES = 256 * 1024
"""DynamoDB's limit for an item is 400 KB; the rest is for what the service adds."""


@dataclass(frozen=True, slots=True)
class Record:
    """A phone that may go in. A property that the file has as null is None."""

    line: int
    phone: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that may not go in, and why, without any secret."""

    line: int
    reason: str


def read_records(lines: Iterable[str]) -> Iterator[Record | BadRecord]:
    """The records of a file, with the line that each starts on."""
    first_line_of: dict[str, int] = {}
    for line, value in _values(iter(lines)):
        record = value if isinstance(value, BadRecord) else check(line, value)
        if isinstance(record, Record):
            first_line = first_line_of.setdefault(record.phone["_id"], line)
            if first_line != line:
                record = BadRecord(line, f"_id: the phone stands on line {first_line} already")
        yield record


def _values(lines: Iterator[str]) -> Iterator[tuple[int, Any]]:
    """Each JSON value with the line that it starts on, or a `BadRecord` where there is none."""
    for line, text in enumerate((text.removeprefix("\ufeff") for text in lines), start=1):
        if text.lstrip().startswith("["):
            yield from _array_values("".join(chain([text], lines)), line)
        elif text.strip():
            try:
                yield line, _DECODER.decode(text)
            except (ValueError, RecursionError) as error:
                yield line, _not_json(line, error)


def _array_values(text: str, line: int) -> Iterator[tuple[int, Any]]:
    position = text.index("[") + 1
    counted_to = 0
    while True:
        while position < len(text) and text[position] in _BETWEEN_VALUES:
            position += 1
        line += text.count("\n", counted_to, position)
        counted_to = position
        if text.startswith("]", position):
            return
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield line, _not_json(line, error)
            return
        yield line, value


def _not_json(line: int, error: ValueError | RecursionError) -> BadRecord:
    what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return BadRecord(line, f"not valid JSON ({what}); expected one phone a line, or an array of phones")


def check(line: int, value: Any) -> Record | BadRecord:
    """A value that stands on ``line``, as the rules for an import see it."""
    if not isinstance(value, dict):
        return BadRecord(line, "expected a JSON object with the properties of a phone")
    phone = {name: _without_nulls(part) for name, part in value.items()}
    _convert(phone)
    present = {name: part for name, part in phone.items() if part is not None}
    problems = sorted({text for error in _validator().iter_errors(present) for text in _problems(error)})
    if problems:
        return BadRecord(line, "; ".join(problems))
    try:
        size = len(json.dumps(present, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return BadRecord(line, "expected Unicode text, got half of a surrogate pair")
    if size > MAX_RECORD_BYTES:
        return BadRecord(line, f"expected at most {MAX_RECORD_BYTES:,} bytes, got {size:,}")
    return Record(line, phone)


def _without_nulls(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _without_nulls(value) for name, value in part.items() if value is not None}
    if isinstance(part, list):
        return [_without_nulls(value) for value in part]
    return part


def _convert(phone: dict[str, Any]) -> None:
    """Accepts the other form of a value where one is in use, and leaves the one that the API answers."""
    phone_id = phone.get("_id")
    if isinstance(phone_id, str) and set(phone_id) <= set(string.hexdigits):
        phone["_id"] = phone_id.upper()
    for group, name in (("ringer", "tone"), ("network", "vlanId")):
        properties = phone.get(group)
        if isinstance(properties, dict) and type(properties.get(name)) is int:
            properties[name] = str(properties[name])


def _problems(error: ValidationError) -> list[str]:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)[1:]
    schema = cast(dict[str, Any], error.schema)
    value = cast(Any, error.instance)
    match error.validator:
        case "required":
            return [f"{_join(path, name)}: missing" for name in schema["required"] if name not in value]
        case "dependentRequired":
            return ["username, password: expected both or neither"]
        case "additionalProperties" | "unevaluatedProperties":
            return [f"{_join(path, name)}: unknown property" for name in value.keys() - _known(schema)]
    if path in {"username", "password"}:
        return [f"{path}: expected {_expected(schema)}"]
    got = repr(value)
    return [f"{path}: expected {_expected(schema)}, got {got if len(got) <= _SHOWN else got[:_SHOWN] + '…'}"]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _known(schema: dict[str, Any]) -> set[str]:
    """The properties that an object may have, those of the schema it builds on included."""
    base = openapi()["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
    return {*schema["properties"], *base.get("properties", ())}


def _expected(schema: dict[str, Any]) -> str:
    if "x-expected" in schema:
        return str(schema["x-expected"])
    if "enum" in schema:
        return f"one of {', '.join(str(value) for value in schema['enum'])}"
    if schema["type"] == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    limit = f" of at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return _TYPES[schema["type"]] + limit


def importable() -> set[str]:
    """The properties that an import takes."""
    schema = openapi()["components"]["schemas"]["ImportedSipPhone"]
    return _known(schema)


@cache
def _validator() -> Validator:
    return _Validator({**openapi(), "$ref": "#/components/schemas/ImportedSipPhone"}, format_checker=_FORMATS)


def _pattern(_: Validator, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    # JSON Schema means ECMAScript's "$", the very end; Python's also matches before a last line feed.
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield ValidationError("does not match")


_Validator: type[Validator] = validators.extend(Draft202012Validator, {"pattern": _pattern})
_FORMATS = FormatChecker(["ipv4", "ipv6", "date-time"])


@_FORMATS.checks("ipv4-mask")
def _is_ipv4_mask(value: object) -> bool:
    try:
        mask = int(ipaddress.IPv4Address(str(value)))
    except ValueError:
        return False
    ones = f"{mask:032b}".rstrip("0")
    return "0" not in ones


def _number(text: str) -> int | float:
    """A whole number stays one, however it is written: 4.0 is 4."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant)
_BETWEEN_VALUES = " \t\r\n,"
_SHOWN = 60
_TYPES = {"string": "a text", "boolean": "true or false", "object": "an object", "array": "a list"}
