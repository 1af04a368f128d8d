"""The node itself: processor packages, management controllers, host."""
