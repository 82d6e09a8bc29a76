"""What comes in, made into rows: decoded one record at a time where need be, so that one bad record spoils no other."""

from monitor.wire.bodies import read_body, read_typed
from monitor.wire.limits import BadBody
from monitor.wire.records import Batch, Expected, Kind, Only, Subject, decode, decode_each

__all__ = [
    "BadBody",
    "Batch",
    "Expected",
    "Kind",
    "Only",
    "Subject",
    "decode",
    "decode_each",
    "read_body",
    "read_typed",
]
