import onnx

import poprt
from hardware.engines.vendor.typed_onnx import cast_all


class Converter:
    def __init__(self, input_shape=None, precision="fp32"):
        poprt.calls.append(("Converter", input_shape, precision))
        self.precision = precision

    def convert(self, model):
        if poprt.failure:
            raise RuntimeError(poprt.failure)
        if self.precision == "fp16":
            cast_all(model, onnx.TensorProto.FLOAT16)
        return model
