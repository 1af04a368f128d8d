"""Job manifests for Kubernetes: the same case in pods, one for each node; no operator is needed."""
