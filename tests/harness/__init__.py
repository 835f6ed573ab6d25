"""What the test programs share: processes under a subreaper, jobs under ckrun, /proc snapshots."""
