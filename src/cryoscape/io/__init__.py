"""Files to plain arrays and tables, and back; numpy and pandas only."""
