"""Phones as documents: the example of the platform's API page, and any other valid one."""

import copy
import string
from typing import Any

from hypothesis import strategies as st

EXAMPLE: dict[str, Any] = {
    "_id": "12345678901234567890ABCD",
    "pbxCluster": 1,
    "sipPhoneModel": "1234567890123457890AAAA",
    "extension": "123457890123457890BBBB",
    "customer": "1234567890123456780CCCC",
    "macAddress": "4EE8A34B56F3",
    "handsetAddress": None,
    "handsetIndex": None,
    "callWaiting": True,
    "notes": "A note about the phone",
    "ip": {"mode": "LOCKED", "countries": "", "address": "213.83.176.134"},
    "ringer": {"volume": 4, "tone": 2},
    "volume": {
        "handset": {"mic": 5, "speaker": 7},
        "headset": {"mic": 5, "speaker": 7},
        "handsfree": {"mic": 3, "speaker": 4},
    },
    "softkeys": [
        {"index": 0, "function": "SPEEDDIAL", "value": "112", "label": "Emergency"},
        {
            "index": 1,
            "function": "BLF",
            "value": "1234567890123457890FFFF",
            "label": "Hans Christian Anderson",
        },
    ],
    "codec": {"hdAudio": True, "video": False},
    "network": {
        "dhcp": False,
        "ipAddress": "192.168.1.10",
        "subnet": "255.255.255.0",
        "gateway": "192.168.1.1",
        "dns1": "192.168.1.1",
        "dns2": "8.8.8.8",
        "vlanId": 0,
        "vlanPriority": 5,
    },
    "status": {
        "configLoaded": "2015-01-01T00:00:00Z",
        "online": True,
        "expires": 2543,
        "localIpAddress": "192.168.1.10",
        "publicIpAddress": "213.83.176.134",
        "userAgent": "snom370/8.7.3.25",
    },
}


def as_answered(document: dict[str, Any]) -> dict[str, Any]:
    """What the API answers for an imported document: no nulls, and the types of the API's own table."""
    answered = copy.deepcopy({name: value for name, value in document.items() if value is not None})
    for group, name in (("ringer", "tone"), ("network", "vlanId")):
        if name in answered.get(group, {}):
            answered[group][name] = str(answered[group][name])
    for name in ("reseller", "rotationDays"):
        answered.pop(name, None)
    return answered


def _group(**properties: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=properties)


_FUNCTIONS = [
    *("SPEEDDIAL", "BLF", "LINE", "DND", "ADDRESSBOOK", "REDIAL", "VOICEMAIL", "TRANSFER", "URL", "HOLD"),
    *("RECORD", "MENU", "PICKUP", "PICKUPGROUP", "QUEUE", "SWITCH"),
]
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=64)
_levels = st.integers(-1000, 1000)
_addresses = st.one_of(st.just(""), st.ip_addresses().map(str))
_audio = _group(mic=_levels, speaker=_levels)
_countries = st.lists(st.text(string.ascii_uppercase, min_size=2, max_size=2), max_size=5).map(",".join)
_masks = st.integers(0, 32).map(lambda ones: (0xFFFFFFFF << (32 - ones)) & 0xFFFFFFFF)

_required: dict[str, st.SearchStrategy[Any]] = {
    "_id": st.text("0123456789ABCDEF", min_size=24, max_size=24),
    "customer": _ids,
}
valid_phones: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    _required,
    optional={
        "pbxCluster": st.sampled_from([1, 2]),
        "sipPhoneModel": _ids,
        "extension": _ids,
        "macAddress": st.text(string.hexdigits, min_size=12, max_size=12),
        "handsetIndex": st.integers(0, 65535),
        "handsetAddress": _text,
        "callWaiting": st.booleans(),
        "notes": _text,
        "ip": _group(
            mode=st.sampled_from(["OPEN", "LOCKED", "ROAMING"]), countries=_countries, address=_addresses
        ),
        "ringer": _group(volume=_levels, tone=st.one_of(_ids, st.integers(0, 99))),
        "volume": _group(handset=_audio, headset=_audio, handsfree=_audio),
        "softkeys": st.lists(
            st.fixed_dictionaries(
                {"index": st.integers(0, 65535), "function": st.sampled_from(_FUNCTIONS)},
                optional={"value": _text, "label": _text},
            ),
            max_size=4,
        ),
        "codec": _group(hdAudio=st.booleans(), video=st.booleans()),
        "network": _group(
            dhcp=st.booleans(),
            ipAddress=_addresses,
            subnet=_masks.map(lambda mask: ".".join(str(mask >> shift & 255) for shift in (24, 16, 8, 0))),
            gateway=_addresses,
            dns1=_addresses,
            dns2=_addresses,
            vlanId=st.one_of(st.integers(0, 4094), st.integers(0, 4094).map(str)),
            vlanPriority=st.integers(0, 7),
        ),
        "status": _group(
            configLoaded=st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
            online=st.booleans(),
            expires=st.integers(-1, 4294967295),
            localIpAddress=_addresses,
            publicIpAddress=_addresses,
            userAgent=_text,
        ),
        "reseller": _ids,
        "rotationDays": st.integers(0, 3650),
    },
)
