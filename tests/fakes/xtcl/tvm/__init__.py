"""XTCL's build of TVM, as far as FlagPerf calls it and TVM documents it, on the host."""

from types import SimpleNamespace

from . import contrib as contrib
from . import relay as relay
from . import runtime as runtime

calls = []
failure = None


class NDArray:
    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


nd = SimpleNamespace(array=NDArray)


def device(kind, index):
    calls.append(("device", kind, index))
    return (kind, index)


class PassContext:
    now = None

    def __init__(self, opt_level, config, disabled_pass):
        self.opt_level, self.config, self.disabled_pass = opt_level, config, disabled_pass

    def __enter__(self):
        PassContext.now = self
        calls.append(("PassContext", self.opt_level, self.config, self.disabled_pass))

    def __exit__(self, *_):
        PassContext.now = None


transform = SimpleNamespace(PassContext=PassContext)
