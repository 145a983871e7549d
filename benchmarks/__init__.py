"""What perfmon costs and bears, each figure beside a yardstick of the same run."""
