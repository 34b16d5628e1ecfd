"""One module per figure: what it takes from an Analysis, its axes, its caption; see `gallery`."""
