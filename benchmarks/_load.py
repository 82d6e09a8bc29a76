"""A client that keeps a few connections busy with predictions that were made beforehand; run as a program of its own.

It prints one line of JSON: events and requests that were answered 202, the others by status, and how long answers took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time

import msgspec

FEATURES = 20
TEXTS = 5  # of them
TIME = 1234567890.125  # in its place comes each body's own


def bodies(batch: int, count: int, *, seed: int = 1) -> list[bytes]:
    """So many bodies of `batch` predictions each, every id a UUID of its own; their times go through the last minute."""
    draw = random.Random(seed)
    encode = msgspec.json.Encoder().encode
    marker = b'"event_id":"'
    began = time.time() - 60
    templates = []
    for _ in range(20):
        records = [
            {
                "model": "demand",
                "event_id": "x" * 36,
                "timestamp": TIME,
                "model_version": "v1",
                "features": _features(draw),
                "prediction": draw.random() * 10,
                "latency_seconds": 0.01,
            }
            for place in range(batch)
        ]
        body = encode(records if batch > 1 else records[0])
        templates.append([part[36:] if place else part for place, part in enumerate(body.split(marker))])
    known = encode(TIME)
    made = []
    for number in range(count):
        head, *rest = templates[number % len(templates)]
        parts = [head]
        for part in rest:
            text = f"{draw.getrandbits(128):032x}"
            dashed = f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{text[16:20]}-{text[20:]}"
            parts += [marker, dashed.encode(), part]
        seen = encode(round(began + 60 * number / count, 3))
        made.append(b"".join(parts).replace(known, seen))
    return made


def _features(draw: random.Random) -> dict[str, float | str]:
    numbers = {f"feature_{place}": draw.random() * 100 for place in range(FEATURES - TEXTS)}
    return numbers | {
        f"feature_{place}": draw.choice("red green blue".split()) for place in range(FEATURES - TEXTS, FEATURES)
    }


class Load:
    """Requests as fast as they are answered, or at a rate."""

    def __init__(self, port: int, path: str, batch: int, seconds: float, rate: float) -> None:
        self.port, self.path, self.batch, self.seconds, self.rate = port, path, batch, seconds, rate
        self.events, self.others, self.took = 0, dict[str, int](), list[float]()
        self.sent = 0

    async def connection(self, given: list[bytes], ends: float, began: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for body in given:
            if self.rate:
                due = began + self.sent * self.batch / self.rate
                self.sent += 1
                if (wait := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
            if time.perf_counter() > ends:
                break
            kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
            head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\n\r\n"
            started = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            self.took.append(time.perf_counter() - started)
            status = answer[9:12].decode()
            if status == "202":
                self.events += self.batch
            else:
                self.others[status] = self.others.get(status, 0) + 1
        else:
            if not self.rate:
                raise SystemExit("expected bodies enough for the whole time: ask for more by --bodies")
        writer.close()

    async def run(self, made: list[bytes], connections: int) -> dict[str, object]:
        began = time.perf_counter()
        ends = began + self.seconds
        shares = [made[place::connections] for place in range(connections)]
        await asyncio.gather(*(self.connection(share, ends, began) for share in shares))
        took = time.perf_counter() - began
        ordered = sorted(self.took)
        return {
            "events": self.events,
            "events_a_second": self.events / took,
            "requests_a_second": len(ordered) / took,
            "others": self.others,
            "p50_seconds": ordered[len(ordered) // 2],
            "p99_seconds": ordered[int(len(ordered) * 0.99)],
            "client_cpu_share": time.process_time() / took,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/v1/predictions")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0: as fast as they are answered")
    parser.add_argument("--bodies", type=int, default=0)
    options = parser.parse_args()
    most = options.rate or (120_000 if options.batch > 1 else 8000)
    count = options.bodies or int(most * options.seconds / options.batch) + 100
    made = bodies(options.batch, count)
    load = Load(options.port, options.path, options.batch, options.seconds, options.rate)
    print(json.dumps(asyncio.run(load.run(made, options.connections))))


if __name__ == "__main__":
    main()
