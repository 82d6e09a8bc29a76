"""References as the store keeps them, so that their bins stay what they are."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, insert, select

from monitor.profile import Reference
from monitor.store.packing import decode_reference, decode_stretches, encode_reference, encode_stretches
from monitor.store.schema import references


def save_reference(connection: Connection, number: int, reference: Reference, now: float) -> None:
    """Keep a reference, so that its bins stay what they are."""
    here = (references.c.model_id == number, references.c.fingerprint == reference.fingerprint)
    if connection.execute(select(references.c.created).where(*here)).first() is None:
        connection.execute(
            insert(references).values(
                model_id=number,
                fingerprint=reference.fingerprint,
                created=now,
                body=encode_reference(reference),
                stretches=None if reference.stretches is None else encode_stretches(reference.stretches),
            )
        )


def load_reference(
    connection: Connection, number: int, fingerprint: str, *, stretches: bool = False
) -> Reference | None:
    """A reference kept before, None where there is none; its stretches only where they are asked for, as they are large."""
    here = (references.c.model_id == number, references.c.fingerprint == fingerprint)
    body = connection.execute(select(references.c.body).where(*here)).scalar()
    if body is None:
        return None
    reference = decode_reference(body)
    if stretches:
        cut = connection.execute(select(references.c.stretches).where(*here)).scalar()
        return replace(reference, stretches=None if cut is None else decode_stretches(cut))
    return reference
