lazy: bool | None = None


def is_lazy() -> bool:
    assert lazy is not None
    return lazy
