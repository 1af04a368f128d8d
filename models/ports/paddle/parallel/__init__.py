"""A decoder spread over ranks: its matrices by fleet's layers over a tensor group, its layers over a pipeline."""
