"""Which devices the kernel and the drivers show: PCI, device nodes, KFD."""
