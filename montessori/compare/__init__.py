"""The runs side by side: paired intervals over items, the table and the plot data."""
