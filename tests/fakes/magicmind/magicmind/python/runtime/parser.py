"""Parsers of other frameworks' files."""

import onnx

from magicmind.python import runtime


class Parser:
    def __init__(self, kind):
        assert kind is runtime.ModelKind.kOnnx

    def parse(self, network, path):
        if runtime.refuses:
            return runtime.Status(runtime.Code.INVALID, runtime.refuses)
        network.model = onnx.load(path).SerializeToString()
        return runtime.Status.OK()
