"""Every figure the project claims, as a command that prints it beside its limit."""
