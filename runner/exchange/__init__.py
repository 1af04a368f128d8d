"""Readers and writers of other tools' formats: FlagPerf, ByteMLPerf, MLPerf, InferenceX.

A reader takes over a figure only where it means what ours means, in our unit. What it leaves out, it says with the
reason; what the tool does not tell stays null. A reader is one module and one entry in `formats`; a writer is one
function and one entry in `writers`.
"""
