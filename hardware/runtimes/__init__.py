"""Devices as other frameworks than PyTorch reach them: what waits for their work, times it and counts its memory."""
