"""What people read, in their language: `tr` for the engine's own words, `tr_recorded` for sentences of a report."""

from runner.messages.language import LANGUAGES, Language, language, speaking, tr, tr_recorded

__all__ = ["LANGUAGES", "Language", "language", "speaking", "tr", "tr_recorded"]
