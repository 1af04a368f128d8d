"""Reports for people and programs: tables, comparison, plots, exports."""
