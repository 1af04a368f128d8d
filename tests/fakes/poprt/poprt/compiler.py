from pathlib import Path

import poprt


class CompilerOptions:
    ipu_version = None
    partials_type = "half"
    num_io_tiles = 0
    batches_per_step = 1


class Compiler:
    @staticmethod
    def compile_and_export(model, outputs, path, options):
        poprt.calls.append(("compile", outputs, options.ipu_version, options.partials_type, options.num_io_tiles))
        Path(path).write_bytes(model)
