"""Gateways' webhooks and settlement reports, verified, kept, and published as pg.transactions."""
