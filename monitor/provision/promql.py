"""What a rule asks of Prometheus: the expressions that the rules for Prometheus and for Grafana are made of.

All of them are static. Whether a value is a breach was decided by the daemon, which exposes `..._breached`; it
withdraws that series when nothing is known any more and says so in `anchorwatch_check_state`, which is always there.
"""

from __future__ import annotations

from monitor.records import Rule

BUILD = "anchorwatch_build_info"
STATE = "anchorwatch_check_state"
KEEP_SECONDS = 300.0  # a restart of the daemon, or a missed scrape, takes less
_LONGER_THAN_KEPT = "[6m]"
_MEMORY = "[1d:1m]"
# Versions that were known within that time and are not now, though others are: after a restart none is, for a while.
_RETIRED = (
    "last_over_time((max by (app, model, version) (anchorwatch_model_info))[1d:1m])"
    " unless on (app, model, version) anchorwatch_model_info and on (app, model) anchorwatch_model_info"
)


def subject(rule: Rule) -> tuple[str, ...]:
    """The labels of a rule's alerts, besides its severity: the same that the built-in evaluator gives.

    >>> from monitor.alert.rules import RULES
    >>> subject(next(rule for rule in RULES if rule.name == "AppDown"))
    ('app', 'probe')
    """
    return ("app", *rule.by) if rule.on == "breached" else ("app", "model", "check")


def breach(rule: Rule) -> str:
    """For Prometheus: breached now; or firing already, and nothing is known to the contrary.

    "Nothing is known" means that the check came to `no_data` or `error`, that no daemon is seen at all, or that the
    check as a whole could tell but had no value for this subject, whose threshold is still exposed. What was firing is
    read back from Prometheus's own `ALERTS`. A subject last known to be fine is not held, although it is kept firing for
    some minutes after; a retired version leaves neither value nor threshold and its check `ok`, and so resolves.
    """
    by, about = ", ".join(subject(rule)), _about(rule)
    firing = f'ALERTS{{alertname="{rule.name}", alertstate="firing"}}'
    well = f"max by ({by}) (last_over_time({rule.metric}{_LONGER_THAN_KEPT})) == 0"
    return (
        f"max by ({by}) ({rule.metric}) == 1\n"
        f"or\n"
        f"(max by ({by}) ({firing}) unless on ({by}) {well})\n"
        f"and on ({about}) (\n"
        f"  {_blind(rule)}\n"
        f"  or\n"
        f"  max by ({about}) ({firing}) and on () absent({BUILD})\n"
        f")\n"
    ) + _if_judged(rule, f"or\n(max by ({by}) ({firing}) unless on ({by}) {well})\nand on ({by}) {{threshold}}\n")


def breach_value(rule: Rule) -> str:
    """For Grafana, which compares by itself: 1 where breached, 0 where not, and the last known value through no-data.

    Grafana's own alerts are no series, so what to hold is read from the last day of the daemon's. A version that was
    retired is not held.
    """
    by = ", ".join(subject(rule))
    now = f"max by ({by}) ({rule.metric})"
    last = f"last_over_time(({now}){_MEMORY})"
    kept = f"\n  unless on (app, model, version) ({_RETIRED})" if "version" in rule.by else ""
    return (
        f"{now}\nor\n{last}\n  and on ({_about(rule)}) {_blind(rule)}{kept}\nor\n{last}\n  and on () absent({BUILD})\n"
    ) + _if_judged(rule, f"or\n{last}\n  and on ({by}) {{threshold}}\n")


def _if_judged(rule: Rule, clause: str) -> str:
    """The clause for a subject without a value in a check that could tell otherwise; a probe has no other subject."""
    if "model" not in rule.by:
        return ""
    return clause.replace("{threshold}", threshold(rule))


def threshold(rule: Rule) -> str:
    """The series with the threshold of what a rule watches, by the same labels as the breach."""
    return rule.metric.replace("_breached", "_threshold")


def in_state_value(rule: Rule) -> str:
    """1 where a check the rule watches is in the state it watches for, otherwise 0."""
    return f'max by (app, model, check) ({STATE}{{{_checks(rule)}state="{rule.on}"}})'


def in_state(rule: Rule) -> str:
    """The checks a rule watches that are in the state it watches for."""
    return f"{in_state_value(rule)} == 1"


def _checks(rule: Rule) -> str:
    """The matcher of the checks a rule watches, with the comma that follows it."""
    if rule.check == "*":
        return ""
    return f'check=~"{rule.check}.+", ' if rule.check.endswith(":") else f'check="{rule.check}", '


def _about(rule: Rule) -> str:
    """The labels by which a breach belongs to a check."""
    return "app, probe" if rule.check.endswith(":") else "app, model"


def _blind(rule: Rule) -> str:
    """The checks that cannot tell."""
    series = f'{STATE}{{{_checks(rule)}state=~"no_data|error"}}'
    if rule.check.endswith(":"):
        series = f'label_replace({series}, "probe", "$1", "check", "{rule.check}(.+)")'
    return f"max by ({_about(rule)}) ({series}) == 1"
