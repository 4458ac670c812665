"""Results from readings: declared formulas, exact values, uncertainty budgets, recomputation."""
