"""The runs side by side: paired intervals over items, the table, the plot data, and the costs."""
