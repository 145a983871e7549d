"""The rolling window: runs become columns, columns become cells, cells answer for any slice."""
