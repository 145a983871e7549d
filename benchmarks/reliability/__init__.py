"""What is acknowledged is kept: kills, full journals and disks, lost answers, counted."""
