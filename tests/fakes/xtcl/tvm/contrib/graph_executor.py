import tvm
from tvm.runtime.vm import Machine


class Executor(Machine):
    def load_params(self, data):
        assert data == b"params"

    def set_input(self, name, array):
        self.inputs[name] = array.numpy()


def create(described, library, device):
    assert described == "graph" and device[0] == "xpu"
    tvm.calls.append(("graph_executor",))
    return Executor(library)
