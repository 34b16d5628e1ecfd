"""Studies: the plan is data, the result files are the truth."""
