import sparse_compile


class OnnxParser:
    def __init__(self, network, input_shape_dict, logger):
        self.network, network.shapes = network, input_shape_dict

    def parse(self, file):
        self.network.model = file.read()
        return not sparse_compile.failure

    @property
    def num_errors(self):
        return len(sparse_compile.failure)

    def get_error(self, number):
        return sparse_compile.failure[number]
