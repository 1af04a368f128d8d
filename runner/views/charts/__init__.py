"""Charts as Vega-Lite: one description for the page, for PNG and for SVG."""
