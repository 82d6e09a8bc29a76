from monitor.stats._decision import decided, threshold_of_costs
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes, NumericOutcomes, Outcomes

__all__ = ["BinaryOutcomes", "ClassOutcomes", "NumericOutcomes", "Outcomes", "decided", "threshold_of_costs"]
