"""`framework=mindspore`: ports in MindSpore's cells, trained by a compiled or an eager step."""
