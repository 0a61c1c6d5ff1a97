"""The domain in plain Python: money, references, calendars, versions, outcomes. No I/O."""
