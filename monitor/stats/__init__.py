from monitor.stats._decision import decided, threshold_of_costs
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes, NumericOutcomes, Outcomes, RankedOutcomes

__all__ = [
    "BinaryOutcomes",
    "ClassOutcomes",
    "NumericOutcomes",
    "Outcomes",
    "RankedOutcomes",
    "decided",
    "threshold_of_costs",
]
