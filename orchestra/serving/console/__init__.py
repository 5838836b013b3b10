"""The console: one page to run a job by hand, to answer runs that wait, and to see the spend."""
