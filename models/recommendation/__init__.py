"""Recommendation: will this user click on this advertisement."""
