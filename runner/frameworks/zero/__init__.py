"""DeepSpeed's engine: what ZeRO can honour, its settings, its steps, its checkpoints."""
