"""Parts whose keys are fixed and whose feature is still to come: they are validated, then answered `not available yet`.

When one lands, its plug-in brings its own options and its entry here goes.
"""

from __future__ import annotations

from pydantic import BaseModel

from monitor.options import Duration, Options, Secret


class _Tcp(Options):
    address: str
    timeout: Duration = 5.0


class _Heartbeat(Options):
    grace: Duration = 0.0


class _Github(Options):
    repository: str
    workflow: str
    ref: str = "main"
    token: Secret


class _AlertmanagerReceiver(Options):
    url: str


PLANNED_OPTIONS: dict[tuple[str, str], type[BaseModel]] = {
    ("probe", "tcp"): _Tcp,
    ("probe", "heartbeat"): _Heartbeat,
    ("trigger", "github"): _Github,
    ("receiver", "alertmanager"): _AlertmanagerReceiver,
}
