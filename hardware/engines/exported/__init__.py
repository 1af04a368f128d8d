"""Engines that take the network out of PyTorch and run on the host: ONNX Runtime, OpenVINO, IREE, ExecuTorch."""
