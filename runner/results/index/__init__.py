"""What many run folders say, kept beside them, so that thousands of results are read in a moment."""

from runner.results.index.reading import Root, read_all, roots_of, summaries
from runner.results.index.summary import Summary, summary_of

__all__ = ["Root", "Summary", "read_all", "roots_of", "summaries", "summary_of"]
