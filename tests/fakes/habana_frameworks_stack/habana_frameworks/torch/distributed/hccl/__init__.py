from habana_frameworks.torch import hpu

hpu.calls.append("hccl")
