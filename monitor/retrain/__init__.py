"""A guarded retraining: named reasons to refuse one, triggers that ask for one, and how one comes to its end."""

from monitor.retrain._decide import GuardContext, Refusal, first_refusal, guards_of
from monitor.retrain._follow import Step, breached_until, judge_outcome

__all__ = ["GuardContext", "Refusal", "Step", "breached_until", "first_refusal", "guards_of", "judge_outcome"]
