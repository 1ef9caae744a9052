"""Exports of other systems, in the formats that those document, become phones that an import takes.

The queries of `docs/examples/migration` run here on SQLite, over the columns that the systems' own schemas have; what
comes out is written as `mysql --batch` and `psql --csv` write it.
"""

import csv
import io
import json
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ops.gateway import PROJECT
from ops.migrating import SOURCES, Conversion, NotAnExport, customers
from ops.phone_records import BadRecord, Record
from tests.support.cli import PROGRAM, environment, phones

QUERIES = PROJECT / "docs" / "examples" / "migration"

# https://github.com/FreePBX/core, module.xml
FREEPBX = """
CREATE TABLE devices (id TEXT, tech TEXT, dial TEXT, devicetype TEXT, user TEXT, description TEXT,
                      emergency_cid TEXT, hint_override TEXT);
CREATE TABLE sip (id TEXT, keyword TEXT, data TEXT, flags INTEGER);
INSERT INTO devices (id, tech, description) VALUES
  ('1001', 'pjsip', 'Reception'), ('1002', 'sip', 'Work,	shop'), ('1003', 'dahdi', 'Fax'),
  ('1004', 'pjsip', 'Hashed');
INSERT INTO sip (id, keyword, data) VALUES
  ('1001', 'secret', 'back\\slash'), ('1001', 'username', 'own-name'), ('1001', 'md5_cred', ''),
  ('1002', 'secret', 's3cret'), ('1002', 'dtmfmode', 'rfc2833'), ('1003', 'secret', 'x'),
  ('1004', 'secret', ''), ('1004', 'md5_cred', '0123456789abcdef0123456789abcdef'),
  ('tr-peer-1', 'secret', 'a trunk''s');
"""
# https://github.com/fusionpbx/fusionpbx, app/devices/app_config.php and app/extensions/app_config.php
FUSIONPBX = """
CREATE TABLE v_domains (domain_uuid TEXT, domain_name TEXT);
CREATE TABLE v_devices (device_uuid TEXT, domain_uuid TEXT, device_address TEXT, device_description TEXT,
                        device_provisioned_date TEXT, device_enabled TEXT);
CREATE TABLE v_device_lines (domain_uuid TEXT, device_uuid TEXT, line_number TEXT, server_address TEXT,
                             display_name TEXT, user_id TEXT, auth_id TEXT, password TEXT, enabled TEXT);
CREATE TABLE v_extensions (domain_uuid TEXT, extension TEXT, password TEXT, effective_caller_id_name TEXT,
                           description TEXT, enabled TEXT);
INSERT INTO v_domains VALUES ('d1d1d1d1-0000-4000-8000-000000000001', 'one.example');
INSERT INTO v_devices VALUES
  ('dev1', 'd1d1d1d1-0000-4000-8000-000000000001', '00-04-13-a1-b2-c3', 'Desk "one"',
   '2026-01-31 10:30:00.12345+01', 't'),
  ('dev2', 'd1d1d1d1-0000-4000-8000-000000000001', '000413a1b2c4', '', NULL, 'f');
INSERT INTO v_device_lines VALUES
  ('d1d1d1d1-0000-4000-8000-000000000001', 'dev1', '1', 'sbc.example', 'Anna', '1001', '', 'pw,1', 't'),
  ('d1d1d1d1-0000-4000-8000-000000000001', 'dev1', '2', 'sbc.example', 'Bob', '1002', 'auth2', 'pw2', 't'),
  ('d1d1d1d1-0000-4000-8000-000000000001', 'dev2', '1', 'sbc.example', 'Off', '1003', '', 'pw3', 't');
INSERT INTO v_extensions VALUES
  ('d1d1d1d1-0000-4000-8000-000000000001', '1001', 'pw,1', 'Anna', '', 't'),
  ('d1d1d1d1-0000-4000-8000-000000000001', '1009', 'pw9', 'Softphone', '', 't');
"""
# https://github.com/kamailio/kamailio, src/lib/srdb1/schema/subscriber.xml
KAMAILIO = """
CREATE TABLE subscriber (id INTEGER PRIMARY KEY, username TEXT NOT NULL DEFAULT '', domain TEXT NOT NULL DEFAULT '',
                         password TEXT NOT NULL DEFAULT '', ha1 TEXT NOT NULL DEFAULT '',
                         ha1b TEXT NOT NULL DEFAULT '', email_address TEXT, rpid TEXT);
INSERT INTO subscriber (username, domain, password, ha1, ha1b, email_address) VALUES
  ('alice', 'one.example', 'pw1', 'h1', 'h2', 'alice@one.example'), ('bob', 'two.example', '', 'h1', 'h2', NULL),
  ('carol', 'two.example', '', '', '', NULL);
"""


def exported(schema: str, query: str, write: Callable[[Iterable[Iterable[Any]]], str]) -> str:
    """What a query of the guide gives on a system's tables, as a client writes it."""
    with closing(sqlite3.connect(":memory:")) as tables:
        tables.executescript(schema)
        found = tables.execute((QUERIES / query).read_text())
        names = [column[0] for column in found.description]
        return write([names, *found])


def mysql_batch(rows: Iterable[Iterable[Any]]) -> str:
    """https://dev.mysql.com/doc/refman/8.4/en/mysql-command-options.html#option_mysql_batch"""

    def written(value: Any) -> str:
        if value is None:
            return "NULL"
        return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")

    return "".join("\t".join(map(written, row)) + "\n" for row in rows)


def psql_csv(rows: Iterable[Iterable[Any]]) -> str:
    """https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-OPTION-CSV"""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def converted(
    source: str, text: str, *given: str, new_pairs: bool = False
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The phones, without their ids, and what is said of the other lines."""
    found = list(Conversion(SOURCES[source], customers(given), new_pairs=new_pairs).records(io.StringIO(text)))
    phones = [record.phone for record in found if isinstance(record, Record)]
    assert len({phone["_id"] for phone in phones}) == len(phones)
    reasons = {record.line: record.reason for record in found if isinstance(record, BadRecord)}
    return [{name: value for name, value in phone.items() if name != "_id"} for phone in phones], reasons


def test_freepbx_by_the_query_of_the_guide() -> None:
    text = exported(FREEPBX, "freepbx.sql", mysql_batch)
    phones, reasons = converted("freepbx", text, "C")
    assert phones == [
        {"customer": "C", "extension": "1001", "notes": "Reception", "username": "own-name", "password": "back\\slash"},
        {"customer": "C", "extension": "1002", "notes": "Work,\tshop", "username": "1002", "password": "s3cret"},
    ]  # fmt: skip
    assert reasons.keys() == {4}
    assert "md5_cred is only a hash of the password, which cannot be carried over" in reasons[4]


def test_freepbx_by_its_bulk_handler() -> None:
    """Columns and values as in the module's own sample and test, in which the column names are capitals."""
    text = (
        "EXTENSION,PASSWORD,NAME,VOICEMAIL,ID,TECH,DIAL,DEVICETYPE,DESCRIPTION,CALLERID,SECRET,TRANSPORT\n"
        '5000,,"User 5000, reception",default,5000,sip,SIP/5000,fixed,x,"device <5000>",a35fe7f7,"udp,tcp,tls"\n'
        "5001,,Fax,novm,5001,dahdi,DAHDI/1,fixed,x,,,\n"
        ",,,,,,,,,,,\n"
    )
    phones, reasons = converted("freepbx", text, "C")
    assert phones == [
        {"customer": "C", "extension": "5000", "notes": "User 5000, reception", "username": "5000", "password": "a35fe7f7"}
    ]  # fmt: skip
    assert reasons == {
        3: "left out: a device of the kind 'dahdi' does not register by SIP",
        4: "left out: a device of the kind '' does not register by SIP",
    }


def test_fusionpbx_by_the_queries_of_the_guide() -> None:
    customer = "d1d1d1d1-0000-4000-8000-000000000001"
    loaded = {"configLoaded": "2026-01-31T09:30:00.123Z"}
    one = {"realm": "one.example", "domain": "one.example"}
    desk = {**one, "customer": customer, "macAddress": "000413A1B2C3", "notes": 'Desk "one"', "status": loaded}
    phones, reasons = converted("fusionpbx", exported(FUSIONPBX, "fusionpbx-devices.sql", psql_csv))
    assert phones == [
        {**desk, "extension": "1001", "username": "1001", "password": "pw,1"},
        {**desk, "extension": "1002", "username": "auth2", "password": "pw2"},
    ]
    assert reasons == {4: "left out: device_enabled is false"}

    phones, reasons = converted("fusionpbx", exported(FUSIONPBX, "fusionpbx-extensions.sql", psql_csv))
    assert phones == [
        {
            **one,
            "customer": customer,
            "extension": "1009",
            "notes": "Softphone",
            "username": "1009",
            "password": "pw9",
        }
    ]
    assert reasons == {}


def test_fusionpbx_by_its_export_of_devices_with_their_lines_side_by_side() -> None:
    """A device with more lines has more columns, named ``column|2`` and so on, and the others' rows end earlier."""
    text = (
        "device_uuid,device_address,device_description,device_enabled,line_number,user_id,auth_id,password,enabled,"
        "line_number|2,user_id|2,auth_id|2,password|2,enabled|2\n"
        "u1,000413a1b2c3,Desk,true,1,1001,1001,pw1,true,2,1002,1002,pw2,true\n"
        "u2,000413a1b2c4,Lobby,true,1,1003,,pw3,true\n"
        "u3,000413a1b2c5,Spare,true\n"
    )
    phones, reasons = converted("fusionpbx", text, "C")
    assert [(phone["macAddress"], phone["username"], phone["password"]) for phone in phones] == [
        ("000413A1B2C3", "1001", "pw1"), ("000413A1B2C3", "1002", "pw2"), ("000413A1B2C4", "1003", "pw3")
    ]  # fmt: skip
    assert reasons == {4: "left out: no auth_id or user_id or extension"}


@pytest.mark.parametrize("write", [mysql_batch, psql_csv])
def test_kamailio_by_the_query_of_the_guide(write: Callable[[Iterable[Iterable[Any]]], str]) -> None:
    text = exported(KAMAILIO, "kamailio.sql", write)
    phones, reasons = converted("kamailio", text, "one.example=C1", "C2")
    alice = {
        "customer": "C1", "notes": "alice@one.example", "realm": "one.example", "domain": "one.example",
        "username": "alice", "password": "pw1",
    }  # fmt: skip
    assert phones == [alice]
    assert "ha1 is only a hash of the password" in reasons[3]
    assert reasons[4] == "left out: no password"

    phones, reasons = converted("kamailio", text, "one.example=C1", "C2", new_pairs=True)
    assert phones == [alice, {"customer": "C2", "realm": "two.example", "domain": "two.example"}]
    assert reasons == {4: "left out: no password"}


def test_a_phone_has_the_same_id_whenever_it_is_converted() -> None:
    text = exported(KAMAILIO, "kamailio.sql", psql_csv)
    first, second = (
        [record.phone["_id"] for record in Conversion(SOURCES["kamailio"], {"": "C"}).records(io.StringIO(text))
         if isinstance(record, Record)] for _ in range(2)
    )  # fmt: skip
    assert first == second


def test_phones_without_a_customer_and_with_anothers_username_are_reported() -> None:
    text = "username,domain,password\nalice,one.example,a\nalice,ONE.example,b\nalice,two.example,c\n"
    phones, reasons = converted("kamailio", text, "one.example=C1")
    assert [phone["password"] for phone in phones] == ["a"]
    assert reasons == {
        3: "has the username of line 2: give each phone its own before the migration",
        4: "nobody says whose the phones of the domain two.example are: add --customer",
    }


def test_usernames_that_stand_in_several_domains_are_counted() -> None:
    text = "username,domain,password\nalice,one.example,a\nalice,two.example,b\nbob,two.example,c\n"
    conversion = Conversion(SOURCES["kamailio"], {"": "C"})
    assert all(isinstance(record, Record) for record in conversion.records(io.StringIO(text)))
    assert conversion.shared_usernames == 1
    assert (
        "1 usernames stand in several domains"
        in phones("convert", "--from", "kamailio", "--customer", "C", "-", stdin=text).stderr
    )


def test_what_an_import_would_refuse_is_refused_here_with_the_same_words_and_no_password() -> None:
    _, reasons = converted("freepbx", "extension,secret\n1001,has space\n10 01,x\n", "C")
    assert reasons == {
        2: "password: expected 1 to 255 printable ASCII characters without spaces",
        3: "extension: expected 1 to 64 letters, digits, \"-\" or \"_\", got '10 01'; "
           "username: expected 1 to 255 printable ASCII characters without spaces",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n", "name,secret\nx,y\n", '[{"extension": "1001"}]\n'])
def test_a_file_that_is_no_export_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(NotAnExport, match="expected a first line with the columns username or extension"):
        converted("freepbx", text, "C")


def test_a_file_that_is_no_csv_is_refused_from_there_on() -> None:
    with pytest.raises(NotAnExport, match="line 3 is not CSV"):
        converted("freepbx", 'extension,secret\n1001,x\n1002,"y" z\n', "C")


@pytest.mark.engine("roto")
@pytest.mark.usefixtures("no_phones")
def test_the_guide_does_what_it_says(tmp_path: Path) -> None:
    """Its commands run in their order; those that ask a database are answered by SQLite."""
    commands = re.findall(r"^    (.+)$", (PROJECT / "docs" / "migration.md").read_text(), re.MULTILINE)
    clients = {"mysql --batch": mysql_batch, "psql --csv": psql_csv}
    schemas = {"asterisk": FREEPBX, "fusionpbx": FUSIONPBX, "kamailio": KAMAILIO}
    run = tmp_path / "run.json"
    run.write_text(json.dumps({"awsEndpointUrl": os.environ["AWS_ENDPOINT_URL"], "region": "eu-west-1"}))
    added = 0
    for command in commands:
        if query := re.fullmatch(
            r"(mysql --batch|psql --csv) (\w+) < docs/examples/migration/(\S+) > (\S+)", command
        ):
            client, database, name, file = query.groups()
            (tmp_path / file).write_text(exported(schemas[database], name, clients[client]))
            continue
        assert command.startswith("./phones "), command
        program = command.replace("./phones", shlex.join(PROGRAM))
        done = subprocess.run(
            ["/bin/bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=environment(PHONES_RUN_FILE=str(run)),
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        # The samples have phones that a conversion reports.
        assert done.returncode == 0 or ("convert" in command and "line" in done.stderr), (
            f"{command}\n{done.stderr}"
        )
        if " import " in command:
            added = json.loads(done.stdout)["added"]
    assert added == 1  # of the last conversion into phones.jsonl, Kamailio's
    assert len(commands) == 12
