"""Huawei's tool."""
