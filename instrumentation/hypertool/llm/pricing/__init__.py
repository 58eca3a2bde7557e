"""From usage to US dollars: the price table and the calculation."""
