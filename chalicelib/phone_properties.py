"""The groups of properties inside a phone, as typed maps.

`docs/openapi.yaml` has the meaning of each property and the rule for its values.
"""

from functools import cache
from typing import Any

from pynamodb.attributes import (
    Attribute,
    AttributeContainer,
    BooleanAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)


class IpRestriction(MapAttribute[str, Any]):
    """From where the phone may connect."""

    mode = UnicodeAttribute(null=True)
    countries = UnicodeAttribute(null=True)
    address = UnicodeAttribute(null=True)


class Ringer(MapAttribute[str, Any]):
    """The ringtone."""

    volume = NumberAttribute(null=True)
    tone = UnicodeAttribute(null=True)


class Levels(MapAttribute[str, Any]):
    """The volume levels of one audio device."""

    mic = NumberAttribute(null=True)
    speaker = NumberAttribute(null=True)


class Volume(MapAttribute[str, Any]):
    """The audio devices of a phone."""

    handset = Levels(null=True)
    headset = Levels(null=True)
    handsfree = Levels(null=True)


class Softkey(MapAttribute[str, Any]):
    """One programmable key."""

    index = NumberAttribute(null=True)
    function = UnicodeAttribute(null=True)
    value = UnicodeAttribute(null=True)
    label = UnicodeAttribute(null=True)


class Codec(MapAttribute[str, Any]):
    """The codecs that the phone may offer."""

    hd_audio = BooleanAttribute(attr_name="hdAudio", null=True)
    video = BooleanAttribute(null=True)


class Network(MapAttribute[str, Any]):
    """The phone's own network settings."""

    dhcp = BooleanAttribute(null=True)
    ip_address = UnicodeAttribute(attr_name="ipAddress", null=True)
    subnet = UnicodeAttribute(null=True)
    gateway = UnicodeAttribute(null=True)
    dns1 = UnicodeAttribute(null=True)
    dns2 = UnicodeAttribute(null=True)
    vlan_id = UnicodeAttribute(attr_name="vlanId", null=True)
    vlan_priority = NumberAttribute(attr_name="vlanPriority", null=True)


class Status(MapAttribute[str, Any]):
    """What was last seen of the phone. ``config_loaded`` is an RFC 3339 timestamp, kept as it came."""

    config_loaded = UnicodeAttribute(attr_name="configLoaded", null=True)
    online = BooleanAttribute(null=True)
    expires = NumberAttribute(null=True)
    local_ip_address = UnicodeAttribute(attr_name="localIpAddress", null=True)
    public_ip_address = UnicodeAttribute(attr_name="publicIpAddress", null=True)
    user_agent = UnicodeAttribute(attr_name="userAgent", null=True)


def plain(value: Any) -> Any:
    """A model, a map or a list of maps as plain JSON values, in the order of declaration, without nulls."""
    if isinstance(value, AttributeContainer):
        values = value.attribute_values
        return {
            attribute_name: plain(part)
            for name, attribute_name in _declared(type(value))
            if (part := values.get(name)) is not None
        }
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


@cache
def _declared(kind: type[AttributeContainer]) -> list[tuple[str, str]]:
    """The names of a model's or a map's properties, in Python and in the table, in the order of declaration."""
    return [
        (name, attribute.attr_name) for name, attribute in vars(kind).items() if isinstance(attribute, Attribute)
    ]
