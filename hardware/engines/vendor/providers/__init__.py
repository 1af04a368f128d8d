"""Vendors' execution providers in ONNX Runtime."""
