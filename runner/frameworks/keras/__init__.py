"""`framework=tensorflow`: Keras models, a traced step, gradients that meet through tf.distribute."""
