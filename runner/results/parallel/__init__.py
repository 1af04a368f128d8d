"""Figures that only a job of several ranks has."""
