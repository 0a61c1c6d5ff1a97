"""The same real servers that production runs, as processes on one machine."""
