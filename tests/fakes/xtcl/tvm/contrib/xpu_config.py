class XPUOutDtypeConfig:
    def __init__(self, default_precision, config_last_node, config_map):
        assert config_last_node and config_map == {}
        self._precision = default_precision

    def value(self):
        return {"default_precision": self._precision}


class XPUGraphMatchConfig:
    def __init__(self, pattern_match):
        self._pattern = pattern_match

    def value(self):
        return {"pattern_match": self._pattern}
