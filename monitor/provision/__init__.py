"""Prometheus, Alertmanager and Grafana artefacts: build, compare with what is there, apply."""


class ProvisionError(Exception):
    """Something could not be put in place; the message says what was attempted, where, and what came back."""
