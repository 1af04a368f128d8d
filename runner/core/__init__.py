"""What everything else stands on: errors, events, statistics, who owns a run folder. Imports nothing of `runner`."""
