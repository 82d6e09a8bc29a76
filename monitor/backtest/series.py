"""The series that the daemon would have exposed, with timestamps, as OpenMetrics text that `promtool` makes blocks of."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

# What is not of the time that is replayed: how long a judgement took, and when this process read its configuration.
LEFT_OUT = frozenset(
    {
        "anchorwatch_build_info",
        "anchorwatch_check_duration_seconds",
        "anchorwatch_config_last_reload_successful",
        "anchorwatch_config_last_reload_success_timestamp_seconds",
    }
)

Labels = tuple[tuple[str, str], ...]


class SeriesLog:
    """What the metrics showed at each instant; 16 bytes a sample, in order of time."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._samples: dict[str, dict[tuple[str, Labels], tuple[array[float], array[float]]]] = {}

    def note(self, families: Iterable[Metric], at: float) -> None:
        """Keep the value of every series at an instant (Unix seconds, not before the last one).

        A timestamp holds milliseconds: of two instants within one, the later value stands.
        """
        moment = round(at, 3)
        for family in families:
            if family.name in LEFT_OUT:
                continue
            self._families.setdefault(family.name, family)
            held = self._samples.setdefault(family.name, {})
            for sample in family.samples:
                # Prometheus takes an empty label for none, and promtool takes none at all that is empty.
                key = sample.name, tuple((name, value) for name, value in sample.labels.items() if value)
                if key not in held:
                    held[key] = array("d"), array("d")
                times, values = held[key]
                if times and times[-1] == moment:
                    values[-1] = sample.value
                else:
                    times.append(moment)
                    values.append(sample.value)

    def lines(self) -> Iterator[str]:
        """The text, a line at a time: by family, by series, by time."""
        for name, family in sorted(self._families.items()):
            yield f"# HELP {name} {_escaped(family.documentation)}\n"
            yield f"# TYPE {name} {family.type}\n"
            for (sample, labels), (times, values) in self._samples[name].items():
                text = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
                for time, value in zip(times, values, strict=True):
                    yield f"{sample}{{{text}}} {_number(value)} {time:.3f}\n"
        yield "# EOF\n"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
