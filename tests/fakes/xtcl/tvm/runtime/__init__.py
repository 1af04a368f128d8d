from pathlib import Path


class Library:
    def __init__(self, model):
        self.model = model

    def export_library(self, path):
        Path(path).write_bytes(self.model)


def load_module(path):
    return Library(Path(path).read_bytes())
