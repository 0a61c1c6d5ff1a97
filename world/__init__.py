"""One consistent, deterministic world of payments, what became of them, and the ways to play it."""
