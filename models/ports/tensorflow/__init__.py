"""Ports to TensorFlow: Keras 3 layers over `tf.nn`, images with their channels last."""
