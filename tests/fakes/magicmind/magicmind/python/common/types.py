"""Names of types by NumPy's."""


def get_datatype_by_numpy(dtype):
    return {"float32": "FLOAT32", "int32": "INT32"}[str(dtype)]
