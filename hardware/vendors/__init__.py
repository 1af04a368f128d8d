"""One file per vendor; each holds one `Device` class, named by `device:` in the vendor's YAML."""
