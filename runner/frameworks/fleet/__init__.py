"""`framework=paddle`: ports in paddle.nn, mixed precision by paddle.amp, several ranks by fleet."""
