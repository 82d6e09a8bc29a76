"""The body of a request, in any of the forms that predictions and labels may have on the wire."""

from __future__ import annotations

import re

import msgspec

from monitor.wire.arrow import arrow_records
from monitor.wire.columns import column_records
from monitor.wire.limits import RECORDS, BadBody, check_records, check_text
from monitor.wire.records import Batch, Expected, Kind, Only, convert, decode
from monitor.wire.typed import TypedDecoder

JSON, LINES, ARROW = "json", "lines", "arrow"
CONTENT_TYPES = {
    "application/json": JSON,
    "application/x-ndjson": LINES,
    "application/ndjson": LINES,
    "application/vnd.apache.arrow.stream": ARROW,
}

_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[][{},]', re.DOTALL)  # one that does not end goes to the end, once


def read_typed(body: bytes, form: str, typed: TypedDecoder) -> Batch | None:
    """The predictions of a body, if all of them fit the columns of the model that a decoder is for.

    Raises:
        TooLarge: it holds too much.
    """
    if form == ARROW:
        return None
    check_text(body)
    rows = typed.decode(body, lines=form == LINES)
    if rows is None or len(rows.rows) > RECORDS:
        return None
    return Batch("predictions", {typed.subject: [rows]} if rows.rows else {}, records=len(rows.rows))


def read_body(body: bytes, form: str, kind: Kind, owners: Expected | Only, model: str = "") -> Batch:
    """The records of a body.

    Args:
        body: without its content encoding.
        form: one of `CONTENT_TYPES`.
        kind: what it holds.
        owners: whose records may come.
        model: what the request says itself, for records that name no model.

    Raises:
        BadBody: it is not of that form.
        TooLarge: it holds too much.
    """
    if form == ARROW:
        return convert(arrow_records(body, model), kind, owners)
    check_text(body)
    if form == JSON and (records := column_records(body)) is not None:
        return convert(records, kind, owners)
    return decode(_split(body, form), kind, owners)


def _split(body: bytes, form: str) -> list[bytes]:
    """The records of a JSON body (one, or a list) or of an NDJSON one, each still encoded."""
    if form == LINES:
        found = [line for line in body.split(b"\n") if line.strip()]
    else:
        text = body.strip()
        try:
            found = [bytes(raw) for raw in _RAW.decode(text)] if text.startswith(b"[") else [text]
            if not text.startswith(b"["):
                msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            found = _pieces(text)
            if not found:
                message = str(error)
                raise BadBody(
                    f"expected JSON, one record or a list of records: {message[:1].lower()}{message[1:]}".replace(
                        "`", "'"
                    )
                ) from None
    check_records(len(found))
    return found


def _pieces(text: bytes) -> list[bytes]:
    """The records of a list of which some cannot be decoded, cut at its commas; none where it is no whole list.

    Half a character, as JavaScript leaves where it cuts a text, or one record that is nested too deep is that record's
    fault alone.
    """
    pieces, depth, begun = [], 0, 1
    for found in _MARKS.finditer(text):
        mark, at = found[0], found.start()
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == 0 and at != len(text) - 1:
                return []
        elif mark == b"," and depth == 1:
            pieces.append(text[begun:at])
            begun = at + 1
    pieces.append(text[begun:-1])
    return pieces if depth == 0 and text.startswith(b"[") and all(map(bytes.strip, pieces)) else []
