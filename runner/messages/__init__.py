"""What people read, in their language: `tr` for the engine's own words, `tr_recorded` for sentences of a report."""

from runner.messages.language import LANGUAGES, VARIABLE, Language, chosen, language, speaking, tr, tr_recorded

__all__ = ["LANGUAGES", "VARIABLE", "Language", "chosen", "language", "speaking", "tr", "tr_recorded"]
