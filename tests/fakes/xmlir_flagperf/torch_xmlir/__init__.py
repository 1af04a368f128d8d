"""Stands in for the torch_xmlir that FlagPerf used: own synchronisation, seeding and gradient scaler."""

__version__ = "0.29"
calls: list[tuple[str, object]] = []
