"""What can be chosen: one short YAML per choice. A package only so that Hydra finds it when installed."""
