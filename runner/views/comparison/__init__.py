"""What `runner.compare` writes: pages, tables for programs, JUnit XML."""
