"""Ports to Paddle: `paddle.nn` layers under the names of the originals' layers."""
