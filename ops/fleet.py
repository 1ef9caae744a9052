"""The whole fleet, read from the table: in parallel, and no more of each phone than is asked for."""

import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from pynamodb.expressions.projection import create_projection_expression

from chalicelib.dynamodb import translated_errors
from chalicelib.phones import SipPhones

SEGMENTS = 8
"""Parts of the table that are read at the same time.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan"""


@dataclass(frozen=True, slots=True)
class Page:
    """Some phones of a segment. ``last_id`` is where its next page goes on; None when it is the last one."""

    segment: int
    phones: list[SipPhones]
    last_id: str | None
    read_units: float | None
    """What DynamoDB says that it cost; None when it says nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the table is, as DynamoDB counted it some hours ago at most."""

    phones: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Criteria:
    """What phones are looked for by; None where it does not matter."""

    mac: str | None = None
    customer: str | None = None
    extension: str | None = None
    note: str | None = None
    """A part of the notes, in upper or lower case."""

    def match(self, phone: SipPhones) -> bool:
        """Whether the phone is one of them."""
        return (
            (self.mac is None or (phone.mac_address or "").upper() == self.mac)
            and (self.customer is None or phone.customer == self.customer)
            and (self.extension is None or phone.extension == self.extension)
            and (self.note is None or self.note.casefold() in (phone.notes or "").casefold())
        )


def canonical_mac(text: str) -> str:
    """A MAC address without the separators that people write, in upper case. Raises ``ValueError``."""
    digits = re.sub("[-:. ]", "", text).upper()
    if not re.fullmatch("[0-9A-F]{12}", digits):
        raise ValueError(f"expected a MAC address such as 00:04:13:A1:B2:C3, got {text!r}")
    return digits


@dataclass(frozen=True, slots=True)
class Fleet:
    """The table ``table``, through a client of DynamoDB."""

    dynamodb: Any
    table: str

    def size(self) -> Size:
        """How many phones there are, about, and how much room they take."""
        described = self.dynamodb.describe_table(TableName=self.table)["Table"]
        return Size(described["ItemCount"], described["TableSizeBytes"])

    def pages(
        self,
        attributes: Collection[str],
        *,
        page_size: int | None = None,
        starts: Mapping[int, str | None] | None = None,
    ) -> Generator[Page]:
        """All phones, with their ``attributes`` only, in the order in which the pages arrive.

        ``starts`` has the segments that are still to be read, each with the ``last_id`` that it goes on after;
        all of them from their beginning, if it is not given.
        """
        starts = dict.fromkeys(range(SEGMENTS)) if starts is None else starts
        pool = ThreadPoolExecutor(SEGMENTS, thread_name_prefix="scan")
        read = self._reader(attributes, page_size)
        try:
            reading = {pool.submit(read, segment, last_id) for segment, last_id in starts.items()}
            while reading:
                done, reading = wait(reading, return_when=FIRST_COMPLETED)
                for page in [future.result() for future in done]:
                    if page.last_id is not None:
                        reading.add(pool.submit(read, page.segment, page.last_id))
                    yield page
        finally:
            pool.shutdown(cancel_futures=True)

    def find(self, criteria: Criteria, attributes: Collection[str]) -> Iterator[SipPhones]:
        """The phones that meet ``criteria``, with their ``attributes`` and what the criteria look at."""
        needed = {*attributes, "_id", "macAddress", "customer", "extension", "notes"}
        candidates = (
            (phone for page in self.pages(needed) for phone in page.phones)
            if criteria.customer is None
            else _of_customer(criteria.customer, needed)
        )
        return (phone for phone in candidates if criteria.match(phone))

    def _reader(self, attributes: Collection[str], page_size: int | None) -> Callable[[int, str | None], Page]:
        placeholders: dict[str, str] = {}
        request: dict[str, Any] = {
            "TableName": self.table,
            "TotalSegments": SEGMENTS,
            "ProjectionExpression": create_projection_expression(sorted(attributes), placeholders),
            "ExpressionAttributeNames": {placeholder: name for name, placeholder in placeholders.items()},
            "ReturnConsumedCapacity": "TOTAL",
        } | ({} if page_size is None else {"Limit": page_size})

        def read(segment: int, last_id: str | None) -> Page:
            start = {} if last_id is None else {"ExclusiveStartKey": {"_id": {"S": last_id}}}
            answer = self.dynamodb.scan(**request, Segment=segment, **start)
            return Page(
                segment,
                [SipPhones.from_raw_data(item) for item in answer["Items"]],
                answer["LastEvaluatedKey"]["_id"]["S"] if "LastEvaluatedKey" in answer else None,
                answer.get("ConsumedCapacity", {}).get("CapacityUnits"),
            )

        return read


def _of_customer(customer: str, attributes: Collection[str]) -> Iterator[SipPhones]:
    with translated_errors():
        ids = [phone.id for phone in SipPhones.by_customer.query(customer)]
        yield from SipPhones.batch_get(ids, attributes_to_get=sorted(attributes))
